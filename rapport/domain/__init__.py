"""The rules of Rapport. Pure: no clock, no I/O; times are UTC milliseconds since 1970 unless a name says otherwise."""
