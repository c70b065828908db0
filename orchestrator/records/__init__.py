"""What a run leaves behind: the journal is the truth, everything else is rebuilt from it.

Modules: `directory` (where files are), `journal` and `recorder` (writing), `reading` and `runs`
(reading), `frames` and `frame_files` (images), `store` and `uploader` (Tiled and databroker),
`recovery` (after a crash), `metadata` (what a start document may carry), `live` (the present).
"""
