module promql3

go 1.26

require github.com/prometheus/prometheus v0.313.5
