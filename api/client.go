package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// maxAnswer bounds what a machine may answer where it does not stream.
const maxAnswer = 16 << 20

// Client asks the management API of one machine.
type Client struct {
	Base  string // "http://127.0.0.1:7070"
	Token string
}

// StatusError is an answer that is no success.
type StatusError struct {
	Status int
	Text   string
}

func (e *StatusError) Error() string { return e.Text }

// do sends a request and returns the answer if it is a success.
func (c *Client) do(ctx context.Context, method, path string, body io.Reader, length int64, header map[string]string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.Base+path, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+c.Token)
	for k, v := range header {
		r.Header.Set(k, v)
	}
	if body != nil {
		r.ContentLength = length
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, fmt.Errorf("asking the machine: %w", err)
	}
	if answer.StatusCode < 300 {
		return answer, nil
	}
	defer answer.Body.Close()
	var e Error
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(&e); err != nil || e.Error == "" {
		e.Error = "the machine answered " + answer.Status
	}
	return nil, &StatusError{answer.StatusCode, e.Error}
}

// get asks and decodes the answer into v, unless that is nil.
func (c *Client) get(ctx context.Context, method, path string, v any) error {
	answer, err := c.do(ctx, method, path, nil, 0, nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if v == nil {
		return nil
	}
	return decode(answer.Body, v)
}

func decode(r io.Reader, v any) error {
	if err := json.NewDecoder(io.LimitReader(r, maxAnswer)).Decode(v); err != nil {
		return fmt.Errorf("what the machine answered: %w", err)
	}
	return nil
}

// Machine describes the machine.
func (c *Client) Machine(ctx context.Context) (m Machine, err error) {
	return m, c.get(ctx, "GET", "/v1/machine", &m)
}

// Containers lists all containers.
func (c *Client) Containers(ctx context.Context) (list []Container, err error) {
	err = c.get(ctx, "GET", "/v1/containers", &list)
	return list, err
}

func containerPath(name, verb string) string { return "/v1/containers/" + url.PathEscape(name) + verb }

// Container describes a container.
func (c *Client) Container(ctx context.Context, name string) (k Container, err error) {
	err = c.get(ctx, "GET", containerPath(name, ""), &k)
	return k, err
}

// Kill ends a container.
func (c *Client) Kill(ctx context.Context, name string) (k Container, err error) {
	err = c.get(ctx, "POST", containerPath(name, "/kill"), &k)
	return k, err
}

// Restart starts a container again, and stops it before if it runs.
func (c *Client) Restart(ctx context.Context, name string, patience time.Duration) (k Container, err error) {
	err = c.get(ctx, "POST", containerPath(name, fmt.Sprintf("/restart?seconds=%d", patience/time.Second)), &k)
	return k, err
}

// Wait waits for the end of a container.
func (c *Client) Wait(ctx context.Context, name string) (k Container, err error) {
	err = c.get(ctx, "GET", containerPath(name, "/wait"), &k)
	return k, err
}

// Remove forgets a container that has ended, with force any.
func (c *Client) Remove(ctx context.Context, name string, force bool) error {
	path := containerPath(name, "")
	if force {
		path += "?force=1"
	}
	return c.get(ctx, "DELETE", path, nil)
}

// Create uploads a program and starts it. progress is called with the number of bytes sent so far; it may be nil.
func (c *Client) Create(ctx context.Context, spec *Spec, program []byte, progress func(int)) (k Container, err error) {
	raw, err := json.Marshal(spec)
	if err != nil {
		return k, err
	}
	if len(raw) > MaxSpec {
		return k, fmt.Errorf("arguments and environment take %d bytes, and %d is the most", len(raw), MaxSpec)
	}
	sum := sha256.Sum256(program)
	body := &counter{r: bytes.NewReader(program), progress: progress}
	answer, err := c.do(ctx, "POST", "/v1/containers", body, int64(len(program)), map[string]string{
		"Content-Type": "application/octet-stream",
		HeaderSpec:     base64.StdEncoding.EncodeToString(raw),
		HeaderDigest:   hex.EncodeToString(sum[:]),
	})
	if err != nil {
		return k, err
	}
	defer answer.Body.Close()
	return k, decode(answer.Body, &k)
}

// counter says how much was read.
type counter struct {
	r        io.Reader
	n        int
	progress func(int)
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	if c.n += n; c.progress != nil {
		c.progress(c.n)
	}
	return n, err
}

// ErrCut says that the machine ended while it was streaming.
var ErrCut = errors.New("the machine went away")

// Metrics is what /metrics answers.
func (c *Client) Metrics(ctx context.Context) (string, error) {
	answer, err := c.do(ctx, "GET", "/metrics", nil, 0, nil)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	return string(b), err
}

// Note tells the machine of an event that happened on this computer: EventPublish or EventFree.
func (c *Client) Note(ctx context.Context, ev Event) error {
	b, err := json.Marshal(ev)
	if err != nil {
		return err
	}
	answer, err := c.do(ctx, "POST", "/v1/events", bytes.NewReader(b), int64(len(b)), map[string]string{"Content-Type": "application/json"})
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

// Events hands what happened after event since to handle, and with follow what will.
func (c *Client) Events(ctx context.Context, since uint64, follow bool, handle func(Event) error) error {
	path := fmt.Sprintf("/v1/events?since=%d", since)
	if follow {
		path += "&follow=1"
	}
	return c.stream(ctx, path, follow, handle)
}

// Logs hands what a container printed to handle: with follow until it ends, and the event of its end last.
func (c *Client) Logs(ctx context.Context, name string, follow bool, handle func(Event) error) error {
	path := containerPath(name, "/logs")
	if follow {
		path += "?follow=1"
	}
	err := c.stream(ctx, path, follow, func(ev Event) error {
		if err := handle(ev); err != nil || ev.Event != EventExit {
			return err
		}
		return errEnough
	})
	if err == errEnough {
		return nil
	}
	return err
}

// errEnough ends a stream.
var errEnough = errors.New("enough")

// stream hands events to handle until that has enough. endless says that only a machine that went away ends the stream.
func (c *Client) stream(ctx context.Context, path string, endless bool, handle func(Event) error) error {
	answer, err := c.do(ctx, "GET", path, nil, 0, nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	for d := json.NewDecoder(answer.Body); ; {
		var ev Event
		err := d.Decode(&ev)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == io.EOF && !endless:
			return nil
		case err != nil:
			return fmt.Errorf("%w: %w", ErrCut, err)
		}
		if err := handle(ev); err != nil {
			return err
		}
	}
}
