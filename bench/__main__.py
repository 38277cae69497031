"""`python -m bench`: how fast ours is beside the others."""

from bench.speed import main

main()
