// Command nom builds Go programs for nom machines and boots them.
//
//	nom boot ./apps/hello ./apps/primes
//
// boots a machine in the foreground in which each program has a container of its own; "nom run" uses one in the background.
// "nom help" lists the rest.
//
// Exit codes are docker's: 125 when nom or the machine failed, 126 when a program cannot be started, 127 when it was
// not found, 130 after ^C, else the program's own. What a program prints goes to standard output and standard error
// as the program had it; nom's own words go to standard error. --format json prints one JSON object a line, and those
// objects only gain fields.
//
// The command runs on the developer's computer. It must never import the nonkernel or the platform, and never leave a
// machine running behind, but for those that it was asked to start in the background.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/pflag"
)

// Exit codes of nom itself.
const (
	codeFailed        = 125 // nom, the build or the machine failed
	codeNotExecutable = 126 // it is there but is no program for nom
	codeNotFound      = 127 // there is no such package or file
)

// app is what every verb gets.
type app struct {
	ctx            context.Context
	stdout, stderr io.Writer
	colour         bool // standard output is a terminal that shows colours
}

// verb is one thing that nom can do.
type verb struct {
	name, args, short string
	run               func(a *app, args []string) error
}

var verbs []verb // in the order of the help; filled by init because help lists it

func init() {
	verbs = []verb{
		{"boot", "[flags] PROGRAM... [-- ARGS]", "boot a machine in the foreground, each program in a container of its own", boot},
		{"run", "[flags] PROGRAM [-- ARGS]", "run a program on a machine in the background", runProgram},
		{"ps", "[flags]", "list the containers of a machine in the background", ps},
		{"logs", "[flags] NAME", "print what a container printed", logs},
		{"stats", "[flags] [NAME...]", "show what containers use", showStats},
		{"events", "[flags]", "list what happened to the containers of a machine", showEvents},
		{"stop", "[flags] NAME...", "ask containers to end, and end those that do not", stop},
		{"kill", "[flags] NAME...", "end containers at once, or send them a signal", kill},
		{"restart", "[flags] NAME...", "start containers again", restartContainers},
		{"wait", "[flags] NAME...", "wait for the end of containers and print their exit codes", wait},
		{"rm", "[flags] NAME...", "forget containers that have ended", remove},
		{"inspect", "[flags] NAME...", "describe containers as JSON", inspect},
		{"debug", "[flags] NAME", "look into a program that runs: goroutines, profiles, system calls, frames", debugContainer},
		{"port", "[flags] NAME", "list the ports of this computer that lead to a container", ports},
		{"machine", "create|start|stop|rm|ls|inspect|console|logs|metrics [flags] [NAME]", "manage the machines in the background", machines},
		{"build", "[flags] PROGRAM...", "build a program, or with --bootable an image of a machine", build},
		{"test", "[flags] PACKAGE... [-- TEST FLAGS]", "run the tests of Go packages in containers", test},
		{"doctor", "[flags]", "say what this computer can do for nom, and what to do about what is missing", doctor},
		{"version", "", "print the version of nom", version},
		{"help", "[VERB]", "explain nom or one of its verbs", help},
	}
}

// exitError ends nom with a code. Nothing more is printed when err is nil.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// withCode makes err end nom with a code.
func withCode(code int, err error) error { return &exitError{code, err} }

// signalError is the cause of a context that ended because of a signal.
type signalError struct{ sig syscall.Signal }

func (e signalError) Error() string { return "stopped by " + e.sig.String() }

func main() { os.Exit(run(os.Args[1:])) }

// run is main with an exit code.
func run(args []string) int {
	ctx, stop := signalContext()
	defer stop()
	a := &app{ctx: ctx, stdout: os.Stdout, stderr: os.Stderr, colour: wantColour(os.Stdout)}
	return a.exitCode(a.dispatch(args))
}

// signalContext returns a context that ends with a signalError at the first of the signals that ask a program to stop,
// or say that nobody reads what it prints. The second one ends nom on the spot.
func signalContext() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	go func() {
		if sig, ok := <-ch; ok {
			signal.Ignore(syscall.SIGPIPE) // what is still printed must not end nom before it has cleaned up
			signal.Stop(ch)
			cancel(signalError{sig.(syscall.Signal)})
		}
	}()
	return ctx, func() {
		signal.Stop(ch)
		cancel(nil)
	}
}

func (a *app) dispatch(args []string) error {
	if len(args) == 0 {
		return help(a, nil)
	}
	name := args[0]
	switch name {
	case "-h", "--help":
		name = "help"
	case "--version":
		name = "version"
	}
	for _, v := range verbs {
		if v.name == name {
			return v.run(a, args[1:])
		}
	}
	return fmt.Errorf("there is no verb %q: \"nom help\" lists them", name)
}

// exitCode prints the error and says with what code to end.
func (a *app) exitCode(err error) int {
	var sig signalError
	var exit *exitError
	switch {
	case err == nil || errors.Is(err, pflag.ErrHelp):
		return 0
	case errors.As(err, &sig):
		return 128 + int(sig.sig)
	case errors.As(err, &exit) && exit.err == nil: // of a program that was let end
		return exit.code
	case a.ctx.Err() != nil && errors.As(context.Cause(a.ctx), &sig):
		return 128 + int(sig.sig) // whatever the signal made fail
	case errors.As(err, &exit):
		if exit.err != nil {
			a.complain(exit.err)
		}
		return exit.code
	}
	a.complain(err)
	return codeFailed
}

// complain prints an error or a warning.
func (a *app) complain(err error) {
	fmt.Fprintf(a.stderr, "nom: %s\n", strings.TrimSpace(err.Error()))
}

// wantColour says whether to write colours to f.
func wantColour(f *os.File) bool {
	if os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	return isTerminal(f)
}

// isTerminal says that f is a terminal, as well as can be said without asking it: a character device other than null.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

func help(a *app, args []string) error {
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		return a.dispatch([]string{args[0], "--help"})
	}
	fmt.Fprint(a.stdout, "nom runs Go programs on a nonkernel: each in a hardware virtual machine of its own.\n\n")
	for _, v := range verbs {
		fmt.Fprintf(a.stdout, "  nom %-8s %s\n", v.name, v.short)
	}
	fmt.Fprint(a.stdout, `
A PROGRAM is a Go package (./apps/hello, example.com/x, ./apps/...) or an ELF file made by "nom build".
"nom VERB --help" explains a verb and its flags.

Exit codes: 125 nom or the machine failed, 126 a program cannot be started, 127 it was not found, 130 after ^C,
else that of the first program that failed.
`)
	return nil
}

// flagSet makes the flags of a verb; --help prints what the verb does and the flags.
func (a *app) flagSet(name, more string) *pflag.FlagSet {
	fs := pflag.NewFlagSet("nom "+name, pflag.ContinueOnError)
	fs.SetOutput(io.Discard) // errors are printed once, by exitCode
	fs.SortFlags = false
	fs.Usage = func() {
		for _, v := range verbs {
			if v.name == name {
				fmt.Fprintf(a.stdout, "nom %s %s\n\n%s.\n%s\nFlags:\n%s", v.name, v.args, strings.ToUpper(v.short[:1])+v.short[1:], more, fs.FlagUsages())
			}
		}
	}
	return fs
}

// parse parses the flags of a verb and says how to get help when they are wrong.
func (a *app) parse(fs *pflag.FlagSet, args []string) error {
	err := fs.Parse(args)
	if err != nil && !errors.Is(err, pflag.ErrHelp) {
		return fmt.Errorf("%w: see \"%s --help\"", err, fs.Name())
	}
	return err
}

// splitArgs divides the arguments after the flags at "--".
func splitArgs(fs *pflag.FlagSet) (before, after []string) {
	if n := fs.ArgsLenAtDash(); n >= 0 {
		return fs.Args()[:n], fs.Args()[n:]
	}
	return fs.Args(), nil
}
