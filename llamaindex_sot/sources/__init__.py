"""The chunks an answer is written from: numbered, packed, chosen per point, cited.

To read it: `sources` numbers the chunks and packs them into the context; `choosing` finds those that serve a point;
`titles` makes a skeleton of them; `requests` adds them to the requests of a run; `citations` and `retelling` clean
what comes back.
"""
