module github.com/sqllock/sqllock/dialect

go 1.26.0
