# A session with the Ruby client: ruby session.rb API UPSTREAM [guarded]. It prints what it saw, as
# JSON; "guarded" is a server that has a proxy p and wants a token, which this client cannot send.
require "socket"
require "toxiproxy"

# The status of the refusal, 0 where there is none.
def refusal
  yield
  0
rescue Toxiproxy::ProxyExists
  409
rescue Toxiproxy::NotFound
  404
rescue Toxiproxy::InvalidToxic
  400
rescue Net::ProtocolError => error
  Integer(error.response.code)
end

def echo(listen)
  host, port = listen.split(":")
  TCPSocket.open(host, Integer(port)) do |socket|
    socket.setsockopt(Socket::IPPROTO_TCP, Socket::TCP_NODELAY, 1)
    begun = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    socket.write("hello")
    text = socket.readpartial(64)
    took = Process.clock_gettime(Process::CLOCK_MONOTONIC) - begun
    { text: text, ms: took * 1000 }
  end
end

def late(proxy, latency)
  Toxiproxy::Toxic.new(
    type: "latency", name: "late", proxy: proxy, attributes: { latency: latency }
  ).save
end

def guarded(upstream)
  proxy = Toxiproxy[:p]
  [
    refusal { Toxiproxy.create(name: "q", listen: "127.0.0.1:0", upstream: upstream) },
    refusal { late(proxy, 1) },
    refusal { proxy.disable },
    refusal { proxy.destroy },
    refusal { Toxiproxy.populate([{ name: "q", listen: "127.0.0.1:0", upstream: upstream }]) },
    refusal { Toxiproxy.reset },
  ]
end

api, upstream, mode = ARGV
Toxiproxy.host = api
seen = { version: JSON.parse(Toxiproxy.version)["version"] }
if mode
  seen.update(names: Toxiproxy.all.map(&:name).sort, refused: guarded(upstream))
  puts JSON.generate(seen)
  exit
end
body = { name: "p", listen: "127.0.0.1:0", upstream: upstream }
proxy = Toxiproxy.create(body)
seen[:again] = refusal { Toxiproxy.create(body) }
toxic = late(proxy, 80)
seen[:late] = echo(proxy.listen)
toxic.destroy # this client cannot update one
toxic = late(proxy, 0)
seen[:updated] = toxic.attributes["latency"]
seen[:soon] = echo(proxy.listen)
seen[:unknown] = refusal { Toxiproxy::Toxic.new(type: "down", proxy: proxy).save }
toxic.destroy
seen[:removed] = refusal { toxic.destroy }
proxy.disable
seen[:disabled] = Toxiproxy[:p].enabled
begin
  echo(proxy.listen)
  seen[:refused] = false
rescue Errno::ECONNREFUSED
  seen[:refused] = true
end
Toxiproxy.reset
seen[:after_reset] = Toxiproxy[:p].enabled
Toxiproxy.populate([body, { name: "q", listen: "127.0.0.1:0", upstream: upstream }])
seen[:names] = Toxiproxy.all.map(&:name).sort
Toxiproxy.all.each(&:destroy)
seen[:left] = Toxiproxy.all.map(&:name).size
puts JSON.generate(seen)
