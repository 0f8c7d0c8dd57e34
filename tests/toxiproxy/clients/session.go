// A session with the Go client: session API UPSTREAM [guarded]. It prints what it saw, as JSON;
// "guarded" is a server that has a proxy p and wants a token, which this client cannot send.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sort"
	"syscall"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2/client"
)

type echoed struct {
	Text string  `json:"text"`
	Ms   float64 `json:"ms"`
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func refusal(err error) int {
	var refused *toxiproxy.ApiError
	if errors.As(err, &refused) {
		return refused.Status
	}
	return 0
}

func echo(listen string) (echoed, error) {
	conn, err := net.Dial("tcp", listen)
	if err != nil {
		return echoed{}, err
	}
	defer conn.Close()
	begun := time.Now()
	if _, err := conn.Write([]byte("hello")); err != nil {
		return echoed{}, err
	}
	data := make([]byte, 64)
	n, err := conn.Read(data)
	return echoed{string(data[:n]), float64(time.Since(begun).Microseconds()) / 1000}, err
}

func names(server *toxiproxy.Client) []string {
	proxies, err := server.Proxies()
	must(err)
	found := []string{}
	for name := range proxies {
		found = append(found, name)
	}
	sort.Strings(found)
	return found
}

func guarded(server *toxiproxy.Client, upstream string) []int {
	proxy, err := server.Proxy("p")
	must(err)
	refused := []int{}
	_, err = server.CreateProxy("q", "127.0.0.1:0", upstream)
	refused = append(refused, refusal(err))
	_, err = proxy.AddToxic("x", "noop", "downstream", 1, nil)
	refused = append(refused, refusal(err))
	refused = append(refused, refusal(proxy.Disable()), refusal(proxy.Delete()))
	_, err = server.Populate([]toxiproxy.Proxy{{Name: "q", Listen: "127.0.0.1:0", Upstream: upstream}})
	return append(refused, refusal(err), refusal(server.ResetState()))
}

func main() {
	api, upstream := os.Args[1], os.Args[2]
	seen := map[string]any{}
	server := toxiproxy.NewClient(api)
	version, err := server.Version()
	must(err)
	var said struct{ Version string }
	must(json.Unmarshal(version, &said))
	seen["version"] = said.Version
	if len(os.Args) > 3 {
		seen["names"], seen["refused"] = names(server), guarded(server, upstream)
		must(json.NewEncoder(os.Stdout).Encode(seen))
		return
	}
	proxy, err := server.CreateProxy("p", "127.0.0.1:0", upstream)
	must(err)
	_, err = server.CreateProxy("p", "127.0.0.1:0", upstream)
	seen["again"] = refusal(err)
	late := toxiproxy.Attributes{"latency": 80}
	_, err = proxy.AddToxic("late", "latency", "downstream", 1, late)
	must(err)
	seen["late"], err = echo(proxy.Listen)
	must(err)
	updated, err := proxy.UpdateToxic("late", 1, toxiproxy.Attributes{"latency": 0})
	must(err)
	seen["updated"] = updated.Attributes["latency"]
	seen["soon"], err = echo(proxy.Listen)
	must(err)
	_, err = proxy.AddToxic("x", "down", "downstream", 1, nil)
	seen["unknown"] = refusal(err)
	must(proxy.RemoveToxic("late"))
	seen["removed"] = refusal(proxy.RemoveToxic("late"))
	must(proxy.Disable())
	seen["disabled"] = proxy.Enabled
	_, err = echo(proxy.Listen)
	seen["refused"] = errors.Is(err, syscall.ECONNREFUSED)
	must(server.ResetState())
	again, err := server.Proxy("p")
	must(err)
	seen["after_reset"] = again.Enabled
	_, err = server.Populate([]toxiproxy.Proxy{
		{Name: "p", Listen: "127.0.0.1:0", Upstream: upstream, Enabled: true},
		{Name: "q", Listen: "127.0.0.1:0", Upstream: upstream, Enabled: true},
	})
	must(err)
	seen["names"] = names(server)
	proxies, err := server.Proxies()
	must(err)
	for _, each := range proxies {
		must(each.Delete())
	}
	seen["left"] = len(names(server))
	must(json.NewEncoder(os.Stdout).Encode(seen))
}
