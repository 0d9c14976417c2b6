// Kv keeps values in memory for clients that speak the protocol of Redis, on github.com/tidwall/redcon. It knows nothing of nom: the
// same program runs on Linux.
//
//	nom boot -p 6379:6379 ./apps/kv
//	redis-cli set name value
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/tidwall/redcon"
)

func main() {
	address := flag.String("listen", ":6379", "`address:port` to listen on")
	most := flag.Int("max", 64<<20, "most `bytes` of keys and values")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *address, *most); err != nil {
		fmt.Fprintln(os.Stderr, "kv:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, address string, most int) error {
	l, err := net.Listen("tcp4", address)
	if err != nil {
		return err
	}
	fmt.Println("kv: serving on", l.Addr())
	return serveOn(ctx, l, most)
}

func serveOn(ctx context.Context, l net.Listener, most int) error {
	s := &store{values: map[string][]byte{}, most: most}
	server := redcon.NewServer(l.Addr().String(), s.serve, nil, nil)
	end := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer end()
	if err := server.Serve(l); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}
