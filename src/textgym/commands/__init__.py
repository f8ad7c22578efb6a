"""The commands, one module each, with ``main(argv)``, which returns the exit status; ``textgym.cli`` lists them."""
