-- Single publishes for wrk: through a peer's node as it is, directly too, since `peer_id` may be left out.
--   wrk -t1 -c16 -d10s --latency -s benchmarks/publish.lua http://127.0.0.1:5000
-- The topic is `bench`, or the TOPIC of the environment; it must exist.
wrk.method = "POST"
wrk.path = "/publish"
wrk.headers["Content-Type"] = "application/json"
wrk.body = string.format('{"topic":"%s","message":"%s"}', os.getenv("TOPIC") or "bench", string.rep("x", 100))

function done(summary)
  local errors = summary.errors
  print(string.format("Answers other than 2xx or 3xx: %d; broken connections: %d",
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
