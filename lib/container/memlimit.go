package container

import (
	"strconv"
	"strings"

	"nom.dev/nom/abi"
)

// memLimit is the environment variable that tells Go's garbage collector how much memory there is.
const memLimit = "GOMEMLIMIT"

// memLimitRest is what a container has besides the memory that Go counts, whatever its size: the program's variables,
// the platform's, and Go's growth by 4 MiB at a time, which is charged before it is counted.
const memLimitRest = 4 << 20

// environment is the program's environment, and a memory limit if it has none: nine tenths of the grant beyond a fixed
// rest. Go collects and gives back memory as it comes near, instead of growing until the grant is used up. The tenth is
// for what Go does not count (page tables, 16 KiB of stack for each thread, files and sockets, which leave 1/32 of
// memory to the program) and for what is allocated while a collection runs: the limit is a soft one.
func (cfg *Config) environment() []string {
	for _, v := range cfg.Env {
		if strings.HasPrefix(v, memLimit+"=") {
			return cfg.Env
		}
	}
	size := cfg.Pages * abi.PageSize
	if size < 2*memLimitRest || cfg.Most > cfg.Pages { // too small to tell, or it is to change
		return cfg.Env
	}
	limit := (size - memLimitRest) / 10 * 9
	return append(cfg.Env[:len(cfg.Env):len(cfg.Env)], memLimit+"="+strconv.FormatUint(limit, 10))
}
