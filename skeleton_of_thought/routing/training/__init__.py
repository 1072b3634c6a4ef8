"""Making routers: nothing here is imported to route a question.

`linear` trains the shipped routers from labelled questions, `classifier` the paper's sequence classifier; `metrics`
and `calibration` measure them; `near_duplicates` keeps test questions out of the training set.
"""
