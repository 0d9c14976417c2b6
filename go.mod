module nom.dev/nom

go 1.26.0

require pgregory.net/rapid v1.2.0
