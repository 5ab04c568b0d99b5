"""The pieces a phantom is grown from, against arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from kd_monai.phantom.contrast import draw_signals
from kd_monai.phantom.grid import Grid, SmoothField
from kd_monai.phantom.subject import grade_of, subject_name
from kd_monai.phantom.tumour import draw_sizes, travel_time


def test_grades_come_in_the_proportion_of_brats_2018() -> None:
    grades = [grade_of(i) for i in range(285)]
    assert (grades.count("HGG"), grades.count("LGG")) == (210, 75)
    for n in range(1, 285):  # and every beginning of the list is as balanced as whole subjects allow
        assert abs(grades[:n].count("LGG") - n * 75 / 285) <= 0.5 + 1e-9


def test_names_are_unique_and_tell_the_grade() -> None:
    names = [subject_name(i) for i in range(20)]
    assert names[0] == "Phantom_HGG_001"
    assert len(set(names)) == 20
    assert all(name.split("_")[1] == grade_of(i) for i, name in enumerate(names))


@pytest.mark.parametrize("grade", ["HGG", "LGG"])
def test_volumes_are_nested_and_spread_like_real_ones(grade: str) -> None:
    rng = np.random.default_rng(0)
    sizes = [draw_sizes(rng, grade) for _ in range(2000)]  # type: ignore[arg-type]
    assert all(s.enhancing_cc < s.core_cc < s.whole_cc for s in sizes)
    without = np.mean([s.enhancing_cc == 0 for s in sizes])
    median = np.median([s.whole_cc for s in sizes])
    if grade == "HGG":  # n = 22 real BraTS 2018 cases at 2 mm: median 70 ml, all enhance
        assert without == 0
        assert 60 < median < 80
    else:  # likewise: median 160 ml, three of ten do not enhance
        assert 0.25 < without < 0.35
        assert 125 < median < 180


@pytest.mark.parametrize("grade", ["HGG", "LGG"])
def test_radiologys_order_holds_for_every_draw(grade: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        s = draw_signals(rng, grade)  # type: ignore[arg-type]
        assert s["t1"].csf < s["t1"].grey < 1 < s["t2"].grey < s["t2"].csf
        assert s["flair"].csf < 1 < s["flair"].oedema
        assert s["t2"].oedema > 1.1
        assert s["t1"].core < s["t1"].oedema
        assert s["t1ce"].enhancing > s["t1ce"].oedema


def test_field_has_mean_zero_and_variance_one() -> None:
    values = SmoothField(np.random.default_rng(0), 6.0).on(Grid(3))
    assert abs(values.mean()) < 0.05
    assert abs(values.std() - 1) < 0.05


def test_field_is_the_same_at_every_spacing() -> None:
    field = SmoothField(np.random.default_rng(0), 12.0)
    fine, coarse = field.on(Grid(1)), field.on(Grid(3))
    # the centre of a 3 mm voxel is the centre of its middle 1 mm voxel
    assert np.allclose(fine[1::3, 1::3, 1::3], coarse, atol=1e-5)


def test_travel_time_at_speed_one_is_distance() -> None:
    start = np.zeros((10, 12, 14), bool)
    start[4, 5, 6] = True
    times = travel_time(np.ones(start.shape, np.float32), start, np.ones_like(start), 2, 1e9)
    distance = 2 * distance_transform_edt(~start)
    assert np.allclose(times[4, 5], distance[4, 5])  # along an axis steps are exact
    assert (times >= distance - 1e-4).all()
    assert (times <= 1.14 * distance + 1e-4).all()  # the worst detour of 26 directions


def test_travel_time_goes_around_a_wall_and_doubles_at_half_speed() -> None:
    within = np.ones((7, 7, 1), bool)
    within[3, :6] = False  # open at the far end only
    start = np.zeros_like(within)
    start[2, 0] = True
    once = travel_time(np.ones(within.shape, np.float32), start, within, 1, 1e9)
    half = travel_time(np.full(within.shape, 0.5, np.float32), start, within, 1, 1e9)
    assert once[4, 0, 0] == pytest.approx(2 * (5 + np.sqrt(2)))
    assert np.isinf(once[3, 0, 0])
    assert np.allclose(half[within], 2 * once[within])
