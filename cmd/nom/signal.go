package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"nom.dev/nom/api"
)

const stopHelp = `
Each gets SIGTERM, as from Linux, and is ended if it still runs after --time. Its ports are free again; what it printed is kept
until "nom rm".
`

const killHelp = `
Without -s they end at once. With it their programs get the signal, by its name or its number on Linux: a program that does not
handle it does what Linux would have it do, which for most signals is to end with 128 and the number as its code.

  nom kill web
  nom kill -s HUP web
`

// signals are those with a name. A program can handle all but KILL.
var signals = map[string]int{
	"HUP": 1, "INT": 2, "QUIT": 3, "ABRT": 6, "KILL": 9, "USR1": 10, "USR2": 12, "PIPE": 13, "ALRM": 14, "TERM": 15, "CHLD": 17, "CONT": 18,
	"URG": 23, "WINCH": 28, "IO": 29, "PWR": 30,
}

// parseSignal reads the name of a signal, with or without SIG, or its number.
func parseSignal(text string) (int, error) {
	if n, ok := signals[strings.TrimPrefix(strings.ToUpper(text), "SIG")]; ok {
		return n, nil
	}
	if n, err := strconv.Atoi(text); err == nil && n >= 1 && n <= api.MaxSignal {
		return n, nil
	}
	return 0, fmt.Errorf("signal %s: give a name such as TERM or HUP, or a number from 1 to %d", text, api.MaxSignal)
}

// addTime adds the flag that says how long a program may take to end.
func addTime(f *verbFlags, patience *time.Duration) {
	f.DurationVarP(patience, "time", "t", api.StopPatience, "how long they may take to end; 0 ends them at once")
}

// checkTime refuses what the machine would.
func checkTime(patience time.Duration) error {
	if patience < 0 || patience > api.MaxPatience || patience%time.Second != 0 {
		return fmt.Errorf("--time %v: give it whole seconds up to %v, such as 10s", patience, api.MaxPatience)
	}
	return nil
}

func stop(a *app, args []string) error {
	var patience time.Duration
	r, names, err := a.named("stop", stopHelp, args, several, func(f *verbFlags) { addTime(f, &patience) })
	if err != nil {
		return err
	}
	if err := checkTime(patience); err != nil {
		return err
	}
	return each(names, func(name string) error {
		k, err := r.client.Stop(a.ctx, name, patience)
		return r.ended(a, k, err)
	})
}

// ended prints the name of a container that was ended and frees its ports.
func (r *remote) ended(a *app, k api.Container, err error) error {
	if err != nil {
		return err
	}
	fmt.Fprintln(a.stdout, k.Name)
	return r.dir.unpublish(k)
}

func kill(a *app, args []string) error {
	text := "KILL"
	r, names, err := a.named("kill", killHelp, args, several, func(f *verbFlags) {
		f.StringVarP(&text, "signal", "s", text, "the `signal` to deliver")
	})
	if err != nil {
		return err
	}
	sig, err := parseSignal(text)
	if err != nil {
		return err
	}
	return each(names, func(name string) error {
		if sig == signals["KILL"] {
			k, err := r.client.Kill(a.ctx, name)
			return r.ended(a, k, err)
		}
		_, err := r.client.Signal(a.ctx, name, sig)
		if err == nil {
			fmt.Fprintln(a.stdout, name)
		}
		return err
	})
}

// forwardSignals passes on the first signal that asks nom to end to the container, as SIGTERM, and kills it at the second one. When
// nobody reads what nom prints, there will be no second one: then it has the time that stop would give it.
func forwardSignals(ctx context.Context, c *api.Client, name string) (stop func() error) {
	ch := make(chan os.Signal, 2)
	signal.Notify(ch, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	done := make(chan error, 1)
	go func() {
		var errs error
		defer func() { done <- errs }()
		for n := 0; ; n++ {
			sig, ok := <-ch
			if !ok {
				return
			}
			var err error
			switch {
			case n > 0 && sig == syscall.SIGPIPE: // each line that nobody reads raises one
				continue
			case n > 0:
				signal.Stop(ch) // the third ends nom, if the machine does not answer
				_, err = c.Kill(ctx, name)
			case sig == syscall.SIGHUP || sig == syscall.SIGPIPE:
				_, err = c.Stop(ctx, name, api.StopPatience)
			default:
				_, err = c.Signal(ctx, name, int(syscall.SIGTERM))
			}
			var refused *api.StatusError
			if err != nil && errors.As(err, &refused) && refused.Status == http.StatusConflict { // it has ended
				err = nil
			}
			errs = errors.Join(errs, err)
		}
	}()
	return func() error {
		signal.Stop(ch)
		close(ch)
		return <-done
	}
}
