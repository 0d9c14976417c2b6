module nom.dev/nom

go 1.26.0

require (
	golang.org/x/arch v0.32.0
	pgregory.net/rapid v1.3.0
)

require (
	github.com/rogpeppe/go-internal v1.16.0 // indirect
	github.com/spf13/pflag v1.0.10 // indirect
)
