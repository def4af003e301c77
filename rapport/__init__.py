"""Rapport. Whoever imports it goes by the time zones of the package `tzdata`, and by no machine's own."""

import zoneinfo

# Machines have releases of their own, so two of them would cut the same day differently.
zoneinfo.reset_tzpath(to=())
