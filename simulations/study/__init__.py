"""Studies for researchers: scenarios, data divided over hospitals, repetitions, comparisons, plain results."""
