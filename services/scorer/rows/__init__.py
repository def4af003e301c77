"""The scorer's rows: what the two agents keep in their changelogs, and under which keys.

A key is a compact JSON array: the kind of row, then what the table says. `*` marks rows that others read too, so their
shapes are part of the contracts or of the domain.

| agent | kind | the key's other parts | shape |
|---|---|---|---|
| exchanges | `thread` | brand, platform, thread, follower | `rapport.domain.exchanges.publication.Thread` |
| exchanges | `object` | brand, platform, object | `ObjectRow` |
| exchanges | `messages` | brand, platform, thread | `MessagesRow` |
| exchanges | `settings` | brand | `SettingsRow` |
| exchanges | `policy` | brand, version | `rapport.contracts.controls.PolicyVersion` |
| exchanges | `heard` | | `HeardRow` |
| relationships | `follower` * | brand, platform, follower | `rapport.contracts.rows.FollowerRow` |
| relationships | `fact` | brand, platform, follower, fact | `rapport.domain.relationships.counting.CountedFact` |
| relationships | `thing` | brand, platform, follower, kind, thing | `rapport.domain.relationships.counting.Thing` |
| relationships | `open` | brand, platform, follower, exchange | `OpenExchangeRow` |
| relationships | `forget` | time (ms), brand, platform, follower | `ForgetRow` |
| relationships | `scoring` | | `ScoringRow` |
| both | `erased` * | brand, name | `ErasedRow` |
| both | `position` | | `services.scorer.fenced.state.Position` |
"""

ROWS_FORMAT = 4
"""Goes up by one with each field that a row gets, here, in the domain, or in the contracts.

A worker reads a row, changes it and writes it whole, so one of an earlier version would drop what it does not know. It
leaves the partition alone instead.
"""
