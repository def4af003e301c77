"""Fenced batches: exactly-once processing on Faust. Knows nothing of what is processed.

`transport` hands Faust's agents whole batches instead of single events; `lane` turns what gathers for one partition
into transactions; `state` is the partition's rows, restored from their changelog; `batch` is what a handler works on.
"""
