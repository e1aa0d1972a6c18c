module github.com/halftone/halftone-go

go 1.19
