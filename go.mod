module nom.dev/nom

go 1.26.0

require (
	github.com/spf13/pflag v1.0.10
	golang.org/x/arch v0.32.0
	pgregory.net/rapid v1.3.0
)

require (
	github.com/rogpeppe/go-internal v1.16.0
	golang.org/x/sys v0.26.0 // indirect
	golang.org/x/tools v0.26.0 // indirect
)
