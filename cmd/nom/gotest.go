package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"nom.dev/nom/abi/manifest"
	"nom.dev/nom/api"
	"nom.dev/nom/image"
	"nom.dev/nom/machine"
)

const testHelp = `
The tests of each package are compiled with "go test -c" and run in a container of their own, in the package's directory
with its files and those of testdata. Patterns such as ./... and packages of Go's library work. TEST FLAGS are those of
"go test": -run, -v, -short, -bench and so on. It prints what "go test" would and exits with 1 when a test failed.

  nom test sort strings container/...
  nom test --cpus 4 ./mypkg -- -run TestX -v
`

// testOptions is the command line of nom test.
type testOptions struct {
	machine machineFlags
	format  format
	memory  quantity // of each container
	vcpus   int
	batch   int
	tests   int // that run at the same time
	tags    string
	env     []string
	files   []string
	args    []string // of the test binaries
	verbose bool
}

func test(a *app, args []string) error {
	fs := a.flagSet("test", testHelp)
	o := testOptions{format: formatTable, memory: 512 << 20}
	o.machine.add(fs, 2, 2<<30, 10*time.Minute, "let the tests of one package take this time at most")
	fs.Var(&o.memory, "container-memory", "memory of each container")
	fs.IntVar(&o.vcpus, "vcpus", 0, "virtual processors of each container; default: the machine decides")
	fs.IntVar(&o.tests, "parallel", 1, "how many packages are tested at the same time")
	fs.IntVar(&o.batch, "batch", 32, "how many packages are tested before another machine is booted")
	fs.StringArrayVarP(&o.env, "env", "e", nil, "set a `variable` of the tests' environment")
	fs.StringArrayVar(&o.files, "file", nil, "give the tests this `file` or directory too, at the same absolute path")
	fs.StringVar(&o.tags, "tags", "", "comma-separated build `tags`")
	fs.Var(&o.format, "format", "how to print the results; json is one object a line")
	if err := a.parse(fs, args); err != nil {
		return err
	}
	patterns, flags := splitArgs(fs)
	if len(patterns) == 0 {
		patterns = []string{"."}
	}
	if o.batch < 1 || o.tests < 1 {
		return fmt.Errorf("--batch and --parallel take numbers from 1 on")
	}
	var err error
	if o.args, o.verbose, err = testArgs(flags, o.machine.timeout); err != nil {
		return err
	}
	if o.env, err = environment(nil, o.env); err != nil {
		return err
	}
	return a.runTests(&o, patterns)
}

// runTests builds and runs the tests of all packages and returns an error when one failed.
func (a *app) runTests(o *testOptions, patterns []string) error {
	pkgs, err := goList(a.ctx, patterns, o.tags)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "nom-test-")
	if err != nil {
		return fmt.Errorf("directory for the test binaries: %w", err)
	}
	defer os.RemoveAll(tmp)
	r := newTestReport(a, o, pkgs)
	p := &packer{tmp: tmp, tags: o.tags}
	var todo []*testPackage
	for _, t := range r.packages {
		if t.status == "" {
			todo = append(todo, t)
		}
	}
	r.advance()
	for len(todo) > 0 {
		batch := todo[:min(o.batch, len(todo))]
		built, err := a.buildTests(p, o, batch)
		if err != nil {
			return err
		}
		r.advance()
		if err := a.runBatch(p, o, r, built); err != nil {
			return err
		}
		todo = todo[len(batch):]
	}
	return r.finish()
}

// buildTests compiles the tests of a batch, two at a time, and returns the packages that have some.
func (a *app) buildTests(p *packer, o *testOptions, batch []*testPackage) ([]*testPackage, error) {
	var wg sync.WaitGroup
	slots := make(chan bool, 2)
	for _, t := range batch {
		wg.Go(func() {
			slots <- true
			defer func() { <-slots }()
			t.build(a.ctx, p, o)
		})
	}
	wg.Wait()
	if a.ctx.Err() != nil {
		return nil, context.Cause(a.ctx)
	}
	var built []*testPackage
	for _, t := range batch {
		if t.status == "" {
			built = append(built, t)
		}
	}
	return built, nil
}

// build makes a package's container, or sets its status when it has no tests or they do not compile.
func (t *testPackage) build(ctx context.Context, p *packer, o *testOptions) {
	bins, err := image.Test(ctx, []string{t.pkg.ImportPath}, image.BuildOptions{Output: p.tmp, Tags: p.tags})
	if err != nil {
		t.fail("[build failed]", err)
		return
	}
	bin := bins[0]
	if bin.Path == "" {
		t.status, t.note = statusNone, "[no test files]"
		return
	}
	files, err := bin.Files()
	if err == nil {
		files, err = addFiles(files, o.files)
	}
	if err != nil {
		t.fail("[setup failed]", err)
		return
	}
	t.container = &container{elf: bin.Path, files: files, Container: manifest.Container{
		Name: t.name, Dir: t.pkg.Dir, Env: o.env, Args: append([]string{t.name + ".test"}, o.args...),
		Memory: uint64(o.memory), VCPUs: o.vcpus,
	}}
}

// fail notes that a package's tests could not be made ready.
func (t *testPackage) fail(note string, err error) {
	t.status, t.note = statusFail, note
	t.output = []byte(err.Error() + "\n")
}

// runBatch boots machines until each package of the batch has been tested: one machine, unless it fails. A machine
// that fails takes with it the packages that it was testing; the others are tested on the next.
func (a *app) runBatch(p *packer, o *testOptions, r *testReport, batch []*testPackage) error {
	for len(batch) > 0 {
		err := a.bootTests(p, o, r, batch)
		var f *machine.Failure
		if err != nil && (!errors.As(err, &f) || a.ctx.Err() != nil) {
			return err
		}
		var rest []*testPackage
		progress := false
		for _, t := range batch {
			switch {
			case t.status != "":
				progress = true
			case t.started:
				progress = true
				t.status, t.note = statusFail, "[the machine failed]"
			default:
				rest = append(rest, t)
			}
		}
		if err != nil {
			a.complain(err)
			a.explain(err, p)
		}
		r.advance()
		if len(rest) > 0 && !progress {
			if err != nil {
				return withCode(codeFailed, nil)
			}
			return fmt.Errorf("the machine switched itself off without testing %s", rest[0].pkg.ImportPath)
		}
		batch = rest
	}
	return nil
}

// bootTests boots one machine with the tests of a batch.
func (a *app) bootTests(p *packer, o *testOptions, r *testReport, batch []*testPackage) error {
	config, closeConsole, err := o.machine.config()
	if err != nil {
		return err
	}
	defer closeConsole()
	var containers []*container
	for _, t := range batch {
		containers = append(containers, t.container)
	}
	config.Image = filepath.Join(p.tmp, "machine.elf")
	if err := p.bootable(config.Image, containers, o.tests); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(a.ctx)
	defer cancel(nil)
	// The tests' own time-out comes first; this one is for a machine that does not get that far.
	var limit *time.Timer
	if d := o.machine.timeout; d > 0 {
		limit = time.AfterFunc(d+time.Minute, func() { cancel(fmt.Errorf("%w: no package was done for %v", errTimeout, d+time.Minute)) })
		defer limit.Stop()
	}
	_, err = machine.Run(ctx, config, func(ev api.Event) {
		r.handle(ev)
		if ev.Event == api.EventExit && limit != nil {
			limit.Reset(o.machine.timeout + time.Minute)
		}
	})
	return err
}
