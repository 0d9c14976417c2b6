package test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"
)

// TestLink: the cable is pulled out while a connection is open, and put in again. The connection goes on, and new ones come. On both
// stacks; on the platform's, the server has its address by DHCP.
func TestLink(t *testing.T) {
	for _, stack := range []string{"", "gvisor"} {
		web := run("apps/web").on(1).byDHCP()
		if stack != "" {
			web.place("10.0.2.15/24").Network.Stack = stack
		}
		port := freeTCPPort(t)
		s := serve(t, hardware{cpus: 2, memory: gib}, fmt.Sprintf("user,hostfwd=tcp:127.0.0.1:%d-10.0.2.15:8080", port), nil, web)
		url := fmt.Sprintf("http://127.0.0.1:%d/", port)
		client := http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
		if err := awaitPage(s.ctx, &client, url); err != nil {
			s.answered(err)
		}
		page := func() (string, error) { return pageOf(s.ctx, &client, url) }
		before, err := page()
		for range 3 {
			if err != nil {
				break
			}
			s.monitor(`{"execute":"set_link","arguments":{"name":"net0","up":false}}`)
			type answer struct {
				page string
				err  error
			}
			asked := make(chan answer, 1)
			go func() {
				p, err := page()
				asked <- answer{p, err}
			}()
			select {
			case a := <-asked:
				err = fmt.Errorf("without a cable the answer was %q, %v", a.page, a.err)
			case <-time.After(time.Second): // none can come, however long this waits
				s.monitor(`{"execute":"set_link","arguments":{"name":"net0","up":true}}`)
				a := <-asked
				if err = a.err; err == nil && a.page != before {
					err = fmt.Errorf("the connection did not go on: %q, before %q", a.page, before)
				}
			}
		}
		if err == nil {
			err = browse(s.ctx, url, 2, 20)
		}
		s.answered(err)
	}
}

// pageOf is the page that apps/web serves: it names the connection.
func pageOf(ctx context.Context, client *http.Client, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	r, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return string(b), err
}
