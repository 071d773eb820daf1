"""An AWS that answers on loopback: ministack, with what TaskHub's stacks need and it lacks or gets wrong.

Each module corrects one part and says what for. All of them stop the start where ministack has come to
do a thing by itself, so that no correction outlives its reason.
"""
