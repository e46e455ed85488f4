"""What serves every link ever sent without this project; `linkrouter exit` writes it out.

Promise: nothing in this folder imports anything of ours, so that each file works alone, wherever it is put. The rules
of links and take-backs are written here again on purpose; tests hold every copy to the same vectors.
"""

__all__: list[str] = []
