"""`mate studio`: a page in the browser where the words move the body.

A thin server: one worker makes motions and finds words in them, one job after another; the page (client/ at the root of the
repository, built into studio/client) gets a motion once and plays it there.
"""
