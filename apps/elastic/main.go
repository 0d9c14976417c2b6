// Elastic shows a program that grows and shrinks while it works. It plays two roles, each in a container of its own:
//
//   - The market has the memory and the core that the machine gave it. It makes a container inside its own, starts the
//     worker there, and then again and again takes core slots and memory back from it and gives them again.
//   - The worker looks for the number with the longest Collatz chain. It keeps a table of chains that it has seen, as
//     large as its grant allows. When memory is asked back it drops a part of the table and works on, more slowly; when it
//     is granted again the table grows. About core slots it need not care: the platform returns them.
//
// The result goes to standard output; what happens on the way to standard error. On Linux there is nobody to take
// anything, so the worker works alone and the result is the same.
//
//	nom boot ./apps/elastic -- 5000000
package main

import (
	"fmt"
	"os"
	"strconv"

	"nom.dev/nom/lib/container"
	"nom.dev/nom/metal"
)

// workerRole as the first argument makes the program the worker.
const workerRole = "worker"

func main() {
	args := os.Args[1:]
	isWorker := len(args) > 0 && args[0] == workerRole
	if isWorker {
		args = args[1:]
	}
	limit := uint64(3_000_000)
	if len(args) > 0 {
		n, err := strconv.ParseUint(args[0], 10, 40)
		if err != nil || n < 2 {
			fmt.Fprintf(os.Stderr, "elastic: %q is not a number from 2 on: give how far to look\n", args[0])
			os.Exit(2)
		}
		limit = n
	}
	if err := run(isWorker, limit); err != nil {
		fmt.Fprintln(os.Stderr, "elastic:", err)
		os.Exit(1)
	}
}

func run(isWorker bool, limit uint64) error {
	if isWorker {
		return work(limit)
	}
	if !metal.InContainer() {
		fmt.Fprintln(os.Stderr, "elastic: not on nom, so there is nobody to trade with")
		return work(limit)
	}
	platform, self, err := container.Images()
	if err != nil {
		return err
	}
	return trade(platform, self, limit)
}
