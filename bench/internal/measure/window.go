package measure

import (
	"slices"
	"time"
)

// Window is what one system did in one measured window.
type Window struct {
	Ops        int     `json:"ops"`
	PerSecond  float64 `json:"per_second"`
	P50        float64 `json:"p50_ms"`
	P99        float64 `json:"p99_ms"`
	Max        float64 `json:"max_ms"`
	CPUPerOp   float64 `json:"cpu_us_per_op"`     // of the serving processes, all together
	OwnCPU     float64 `json:"own_cpu_us_per_op"` // of the process that made the load
	RSS        int64   `json:"rss_bytes"`         // of the serving processes, all together, when the window closed
	Seconds    float64 `json:"seconds"`
	Errors     int     `json:"errors"`
	FirstError string  `json:"first_error,omitempty"`
}

func collect(workers []worker, e edges) Window {
	w := Window{Seconds: e.length.Seconds(), RSS: e.after.RSS}
	var took []time.Duration
	for i := range workers {
		took = append(took, workers[i].took...)
		w.Errors += workers[i].errors
		if w.FirstError == "" {
			w.FirstError = workers[i].firstErr
		}
	}
	w.Ops = len(took)
	if w.Ops == 0 {
		return w
	}
	slices.Sort(took)
	w.PerSecond = float64(w.Ops) / w.Seconds
	w.P50 = millis(quantile(took, 0.50))
	w.P99 = millis(quantile(took, 0.99))
	w.Max = millis(took[len(took)-1])
	w.CPUPerOp = float64((e.after.CPU - e.before.CPU).Microseconds()) / float64(w.Ops)
	w.OwnCPU = float64((e.ownCPUAfter - e.ownCPUBefore).Microseconds()) / float64(w.Ops)
	return w
}

// quantile is the smallest value that at least the share q of them doesn't
// exceed (nearest rank). sorted is not empty.
func quantile(sorted []time.Duration, q float64) time.Duration {
	rank := int(q * float64(len(sorted)))
	if float64(rank) < q*float64(len(sorted)) {
		rank++
	}
	return sorted[max(rank, 1)-1]
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
