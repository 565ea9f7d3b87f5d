"""The worker: the one process that opens patient data, and the daemon's side of it.

Theory of operation. The daemon has the network and no data; the worker has the data and no network. Between them is one
connected AF_UNIX socket of type SOCK_SEQPACKET. On it the daemon gives orders and the worker answers each with exactly
one frame (an order that opens data is answered by a report about the walls first). Whatever is larger than a few
kilobytes travels beside its frame as one sealed memfd, which the receiver checks and maps: a vector is never copied on
its way.

A worker's life:

    ready -- forget --> ready          (deletes what is left of an ended job; touches no data)
    ready -- try --> ended             (raises the walls and tells how they stand)
    ready -- check --> ended           (walls, then one data set is read and described)
    ready -- open --> open             (walls, then one data set is read for one job)
    open -- local, apply --> open      (a vector; a certified sum)
    open -- finish --> ended           (the result)
    any -- failure, or the daemon's end of the socket closes --> ended

So a worker raises its walls once, for one data set and one job, and never opens another. A failure is always the end of
the worker: the daemon starts another one and plays the certified sums to it again, which gives the same state. The only
thing that cannot be had again is a vector that was already handed over; its integers lie in the worker's own scratch
folder from before they are handed over until their round is certified.

Who decides what. The order says which data set and which computation. Whether walls are required, which folders may
hold data sets, and where scratch lies is said on the worker's own command line, by whoever starts it (systemd, or the
daemon as its parent): a daemon that was taken over cannot turn the walls of a systemd worker off.

Modules, both sides: `frames`, `memfd`, `channel`, `documents`. The worker's: `worker` (the process), `serving` (its
life), `computation` (a job), `kept` (integers on disk), `failures` (exceptions to words), `surroundings` (the process
around it), `walls`. The daemon's, which import neither pyarrow nor any task: `supervisor`, `session`, `launch`,
`errors`.
"""
