"""Geometry: whatever happens to the grid, the body stays where it is."""

from itertools import permutations, product

import nibabel
import numpy as np
import pytest

from medsr_course.physics import acquisition, interpolation
from medsr_course.scans import volumes

TOLERANCE_MM = 0.05
CODES = [
    "".join(code)
    for order in permutations(("LR", "PA", "IS"))
    for code in product(*order)  # 6 orders × 8 flips
]


def rotation(degrees, axis):
    a = np.deg2rad(degrees)
    i, j = [k for k in range(3) if k != axis]
    out = np.eye(3)
    out[[i, i, j, j], [i, j, i, j]] = np.cos(a), -np.sin(a), np.sin(a), np.cos(a)
    return out


def blob(shape=(26, 31, 24), affine=None, centre=(11.3, 15.8, 12.4), width=2.2, dtype=np.float32):
    """A Gaussian well inside the field of view."""
    if affine is None:
        affine = np.diag([0.9, 1.1, 2.0, 1.0])
        affine[:3, 3] = -17.0, 23.5, -41.2
    grid = np.indices(shape, dtype=float)
    distance = sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True))
    return volumes.make_image((1000 * np.exp(-distance / (2 * width**2))).astype(dtype), affine)


OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = rotation(20, 0) @ rotation(-13, 2) @ np.diag([0.9, 1.1, 2.0])
OBLIQUE[:3, 3] = 5.0, -9.0, 12.0
SHEARED = np.diag([-0.8, 0.8, 2.5, 1.0])
SHEARED[1, 2] = 0.6  # a tilted gantry
AFFINES = {"plain": None, "oblique": OBLIQUE, "sheared": SHEARED}


@pytest.fixture(params=AFFINES)
def image(request):
    return blob(affine=AFFINES[request.param])


def assert_in_place(before, after):
    moved = np.linalg.norm(volumes.centroid_mm(before) - volumes.centroid_mm(after))
    assert moved < TOLERANCE_MM


def test_centroid_of_a_known_blob():
    image = blob()
    expected = image.affine[:3, :3] @ [11.3, 15.8, 12.4] + image.affine[:3, 3]
    assert np.allclose(volumes.centroid_mm(image), expected, atol=0.01)
    with pytest.raises(ValueError, match="sum to 0"):
        volumes.centroid_mm(volumes.make_image(np.zeros((3, 3, 3)), np.eye(4)))


def test_the_tolerance_would_notice_half_a_fine_voxel():
    """The mistake the course warns of, block centres taken for sample 0, is ten times the tolerance."""
    image = blob()
    wrong = volumes.scaled_affine(image.affine, 2)
    wrong[:3, 3] += wrong[:3, :3] @ [0.5, 0.5, 0.5]
    fine = volumes.resample(image, voxel_size=volumes.voxel_sizes(image) / 2)
    with pytest.raises(AssertionError):
        assert_in_place(image, volumes.make_image(np.asarray(fine.dataobj), wrong))


@pytest.mark.parametrize("code", CODES)
def test_to_ras_from_all_48_orientations(code):
    reference = blob((7, 9, 8), centre=(3.2, 4.1, 3.7), width=1.2)
    reference = volumes.make_image(np.asarray(reference.dataobj) + np.arange(8), reference.affine)
    turn = nibabel.orientations.ornt_transform(
        nibabel.orientations.axcodes2ornt("RAS"), nibabel.orientations.axcodes2ornt(code)
    )
    turned = reference.as_reoriented(turn)
    assert "".join(nibabel.aff2axcodes(turned.affine)) == code
    back = volumes.to_ras(turned)
    assert np.array_equal(np.asarray(back.dataobj), np.asarray(reference.dataobj))
    assert np.allclose(back.affine, reference.affine)
    for plane in volumes.PLANES:
        assert np.array_equal(volumes.to_stack(turned, plane), volumes.to_stack(reference, plane))


def test_oblique_images_stay_oblique():
    ras = volumes.to_ras(blob(affine=OBLIQUE))
    assert np.array_equal(ras.affine, OBLIQUE)
    flipped = OBLIQUE @ np.diag([-1, 1, 1, 1.0])
    out = volumes.to_ras(blob(affine=flipped))
    assert nibabel.aff2axcodes(out.affine) == ("R", "A", "S")
    assert np.allclose(np.abs(out.affine[:3, :3]), np.abs(OBLIQUE[:3, :3]))
    assert_in_place(blob(affine=flipped), out)


def test_stack_axes():
    data = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
    image = volumes.make_image(data, np.diag([1.0, 2.0, 3.0, 1.0]))
    assert volumes.to_stack(image, "axial")[3, 2, 1] == data[1, 2, 3]
    assert volumes.to_stack(image, "sagittal")[1, 3, 2] == data[1, 2, 3]
    assert volumes.to_stack(image, "coronal")[2, 3, 1] == data[1, 2, 3]
    assert volumes.to_stack(image, "axial").shape == (4, 3, 2)
    assert [volumes.pixel_size(image, p) for p in volumes.PLANES] == [1.5, 2.5, 2.0]
    assert [volumes.slice_spacing(image, p) for p in volumes.PLANES] == [3.0, 1.0, 2.0]
    with pytest.raises(ValueError, match="axial, sagittal, coronal"):
        volumes.to_stack(image, "transversal")


@pytest.mark.parametrize("plane", volumes.PLANES)
@pytest.mark.parametrize("code", ["RAS", "LPS", "ASL", "IRP"])
def test_from_stack_undoes_to_stack(image, plane, code):
    turn = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(image.affine), nibabel.orientations.axcodes2ornt(code)
    )
    turned = image.as_reoriented(turn)
    back = volumes.from_stack(volumes.to_stack(turned, plane), turned, plane)
    ras = volumes.to_ras(turned)
    assert np.array_equal(np.asarray(back.dataobj), np.asarray(ras.dataobj))
    assert np.allclose(back.affine, ras.affine)


@pytest.mark.parametrize("plane", volumes.PLANES)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_zero_filling_moves_nothing(image, plane, scale):
    fine = interpolation.zero_fill(volumes.to_stack(image, plane), scale)
    assert_in_place(image, volumes.from_stack(fine, image, plane, scale))


@pytest.mark.parametrize("plane", volumes.PLANES)
def test_cropping_k_space_moves_nothing(image, plane):
    from medsr_course.physics import grid

    stack = grid.trim(volumes.to_stack(image, plane), 2)
    coarse = acquisition.kspace_crop(stack, 2)
    assert_in_place(image, volumes.from_stack(coarse, image, plane, scale=1 / 2))


@pytest.mark.parametrize("sizes", [0.5, 0.7, 1.0, (0.9, 1.3, 2.0), (1.4, 1.4, 3.0)], ids=lambda sizes: str(sizes))
def test_resampling_moves_nothing(image, sizes):
    out = volumes.resample(image, voxel_size=sizes)
    assert np.allclose(volumes.voxel_sizes(out), sizes)
    assert np.allclose(out.affine[:3, 3], image.affine[:3, 3])
    assert out.get_data_dtype() == np.float32
    assert_in_place(image, out)


def test_resampling_to_other_grids(image):
    shape = (40, 24, 33)
    out = volumes.resample(image, shape=shape)
    assert out.shape == shape
    assert np.allclose(volumes.voxel_sizes(out) * shape, volumes.voxel_sizes(image) * image.shape)
    assert_in_place(image, out)

    target = np.eye(4)
    target[:3, :3] = rotation(30, 1) * 1.2
    corner = target[:3, :3] @ np.full(3, 35.0)
    target[:3, 3] = volumes.centroid_mm(image) - corner
    out = volumes.resample(image, affine=target, shape=(71, 71, 71))
    assert_in_place(image, out)
    # Far outside the old field of view there is nothing.
    assert np.asarray(out.dataobj)[0, 0, 0] == 0


def test_resampling_does_not_alias():
    stripes = np.zeros((48, 8, 8), np.float32)
    stripes[::2] = 1  # finer than the coarse grid can hold
    out = volumes.resample(volumes.make_image(stripes, np.eye(4)), voxel_size=(3.7, 1, 1))
    assert np.ptp(np.asarray(out.dataobj)[2:-2]) < 0.25


@pytest.mark.parametrize("size", [0.5, 0.8, 4 / 3])
def test_labels_stay_labels_and_stay_in_place(size):
    """A hard-edged ball jitters with its place between the samples; the mean over a period must not."""
    grid = np.indices((34, 34, 34))
    moved = []
    for centre in 14.1 + 0.5 * np.arange(8):  # 4 mm: after that both grids meet again
        radius = np.sqrt(((grid - centre) ** 2).sum(0))
        labels = volumes.make_image(np.where(radius < 9, 2, 7 * (radius < 12)).astype(np.int16), np.eye(4))
        out = volumes.resample(labels, voxel_size=size, labels=True)
        values = np.asarray(out.dataobj)
        assert values.dtype == np.int16
        assert set(np.unique(values)) == {0, 2, 7}  # 7 between 0 and 2, never an average
        moved.append([centroid_of(out, value) - centroid_of(labels, value) for value in (2, 7)])
    assert np.linalg.norm(np.mean(moved, axis=0), axis=-1).max() < TOLERANCE_MM


def centroid_of(labels, value):
    return volumes.centroid_mm(volumes.make_image(np.asarray(labels.dataobj) == value, labels.affine))


def test_resample_wants_one_description():
    with pytest.raises(ValueError, match="give voxel_size, shape, or affine"):
        volumes.resample(blob())
    with pytest.raises(ValueError, match="not both"):
        volumes.resample(blob(), voxel_size=1, affine=np.eye(4))
    with pytest.raises(ValueError, match="positive"):
        volumes.resample(blob(), voxel_size=0)
    with pytest.raises(ValueError, match="whole numbers"):
        volumes.resample(blob(), shape=(3, 0, 3))
    with pytest.raises(ValueError, match="labels=True"):
        volumes.resample(blob(), voxel_size=1, labels=True)


@pytest.mark.parametrize("plane", volumes.PLANES)
def test_thinner_slices_lie_between_the_thick_ones(image, plane):
    from medsr_course.tasks import thick_slices

    thin = thick_slices.cubic(volumes.to_stack(image, plane), 4)
    placed = volumes.from_stack(thin, image, plane, thinner=4)
    assert np.isclose(volumes.slice_spacing(placed, plane), volumes.slice_spacing(image, plane) / 4)
    assert_in_place(image, placed)
    with pytest.raises(ValueError, match="must be"):
        volumes.from_stack(thin[:-1], image, plane, thinner=4)


def test_from_stack_refuses_what_does_not_fit():
    image = blob()
    stack = volumes.to_stack(image)
    with pytest.raises(ValueError, match="n = 24"):
        volumes.from_stack(stack[:-1], image)
    with pytest.raises(ValueError, match="wrong scale"):
        volumes.from_stack(interpolation.zero_fill(stack, 2), image)
    trimmed = volumes.from_stack(stack[:, :-1, :-2], image)
    assert trimmed.shape == (24, 30, 24)
    assert np.array_equal(trimmed.affine, image.affine)
    with pytest.raises(ValueError, match="3-D"):
        volumes.to_ras(nibabel.Nifti1Image(np.zeros((2, 2, 2, 2), np.float32), np.eye(4)))


def test_axial_slices_follow_the_protocol():
    image = volumes.make_image(np.broadcast_to(np.arange(100.0), (4, 5, 100)), np.diag([-1.0, 1, 1, 1]))
    slices = volumes.axial_slices(image)
    assert slices.shape == (10, 5, 4)
    assert slices.dtype == np.float32
    heights = slices[:, 0, 0]
    assert heights[0] == 35
    assert heights[-1] == 72
    assert set(np.diff(heights)) <= {4, 5}
    thin = volumes.make_image(np.zeros((4, 5, 3)), np.eye(4))
    assert len(volumes.axial_slices(thin)) == 2  # there are no more between 35 and 72 %


def test_images_keep_codes_and_tell_the_truth():
    source = nibabel.Nifti1Image(np.zeros((3, 4, 5), np.int16), OBLIQUE)
    source.set_sform(OBLIQUE, 1)
    source.set_qform(OBLIQUE, 1)
    source.header["descrip"] = b"made by hand"
    out = volumes.to_ras(source.as_reoriented([[0, -1], [1, 1], [2, 1]]))
    assert (out.header["sform_code"], out.header["qform_code"]) == (2, 0)  # nibabel's own choice on turning
    fine = volumes.from_stack(volumes.to_stack(source), source)
    assert (fine.header["sform_code"], fine.header["qform_code"]) == (1, 1)
    assert bytes(fine.header["descrip"]).startswith(b"made by hand")
    assert fine.header.get_xyzt_units()[0] == "mm"
    assert np.allclose(fine.get_qform(), fine.affine, atol=1e-5)
    # A sheared affine does not fit into a qform, so there is none.
    sheared = volumes.make_image(np.zeros((3, 4, 5), np.int16), SHEARED, like=source)
    assert sheared.header["qform_code"] == 0
    assert np.allclose(sheared.affine, SHEARED)


@pytest.mark.parametrize(
    ("dtype", "stored"),
    [
        (np.float16, np.float32),
        (np.longdouble, np.float64),
        (bool, np.uint8),
        (np.int64, np.int32),
        (np.uint64, np.int32),
        (np.uint32, np.uint32),
        (">i2", "<i2"),
    ],
)
def test_make_image_takes_every_kind_of_number(dtype, stored):
    image = volumes.make_image(np.ones((2, 2, 2), dtype), np.eye(4))
    assert image.get_data_dtype() == np.dtype(stored)
    assert np.array_equal(np.asarray(image.dataobj), np.ones((2, 2, 2)))


@pytest.mark.parametrize("data", [np.full((2, 2, 2), 2**31), np.full((2, 2, 2), -(2**31) - 1), np.ones((2, 2, 2)) * 1j])
def test_make_image_refuses_what_nifti_cannot_hold(data):
    with pytest.raises(ValueError, match="32 bits|real numbers"):
        volumes.make_image(data, np.eye(4))
    with pytest.raises(ValueError, match="real numbers"):
        volumes.make_image(np.full((2, 2, 2), "text"), np.eye(4))
