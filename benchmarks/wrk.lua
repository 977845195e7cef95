-- Sends the requests in a file by turns, and prints the result as a line of JSON.
--   wrk -t1 -c16 -d3s -s benchmarks/wrk.lua URL -- FILE
-- The file has whole requests, head and body, each followed by a zero byte.
function init(args)
  local requests, next_one = {}, 0
  local file = assert(io.open(args[1], "rb"))
  for each in file:read("*a"):gmatch("[^%z]+") do
    requests[#requests + 1] = each
  end
  file:close()
  if #requests == 1 then -- wrk keeps it, and calls no Lua while the clock runs
    wrk.format = function() return requests[1] end
  else
    request = function()
      next_one = next_one % #requests + 1
      return requests[next_one]
    end
  end
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format('{"answers":%d,"microseconds":%d,"refused":%d,"broken":%d,"p50":%d,"p99":%d}',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout, latency:percentile(50), latency:percentile(99)))
end
