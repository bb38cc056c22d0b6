from rawpipe_vignette import Vignette

from rawpipe.testing import check_stage


def test_vignette_keeps_the_laws_of_a_stage():
    check_stage(Vignette(0.5))
