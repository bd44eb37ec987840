"""Chapter 03: projections, FBP, MLEM, coils – and every claim of the chapter fails for a wrong version."""

from functools import lru_cache

import nibabel
import numpy as np
import pytest
from conftest import taught
from nibabel.affines import apply_affine
from scipy import ndimage, signal

from medsr_course.physics import acquisition, tomography
from medsr_course.scans.phantom import signal as tissue_signal

SIZE, VIEWS = 65, 256
ANGLES = np.arange(VIEWS) * 180 / VIEWS
WATER = 0.0193


@pytest.fixture(scope="module")
def chapter():
    """The functions the chapter defines, as it defines them."""
    names = ("find_capsule", "my_fbp", "my_signal", "my_mlem", "look_up")
    scope = {"np": np, "apply_affine": apply_affine, "SIZE": SIZE, "per_unit": 1.0, "pet_angles": ANGLES[::8]}
    return taught("03", scope, names)


@lru_cache
def _project():
    return tomography.projector(SIZE, ANGLES)


@lru_cache
def _head():
    """A disc of 40 HU in a soft ring of bone, as μ per pixel (of 3 mm)."""
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    r = np.hypot(x, 1.15 * y)
    hounsfield = np.select([r < 20, r < 23, r < 26], [40.0, 1000.0, 20.0], -1000.0)
    hounsfield += 20 * (np.hypot(x - 6, y - 5) < 4)
    return ndimage.gaussian_filter(3 * WATER * (1 + hounsfield / 1000), 1), r < 17


@lru_cache
def _sinogram():
    return (_project() @ _head()[0].ravel()).reshape(VIEWS, SIZE)


def _hu(mu):
    return 1000 * (mu - 3 * WATER) / (3 * WATER)


# --- the projector --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [16, 17])
def test_every_view_keeps_the_total(size):
    angles = [0, 13, 45, 90, 135, 170]
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    image = np.where(np.hypot(x, y) < size / 2 - 1, 1 + x**2, 0.0)
    views = (tomography.projector(size, angles) @ image.ravel()).reshape(len(angles), size)
    np.testing.assert_allclose(views.sum(axis=1), image.sum(), rtol=1e-9)
    doubled = tomography.projector(size, angles, spacing=2.0) @ image.ravel()
    np.testing.assert_allclose(doubled, 2 * views.ravel(), rtol=1e-12)


def test_disc_has_the_known_line_integrals():
    y, x = np.mgrid[:520, :520]
    fine = (np.hypot(x - 259.5, y - 259.5) < 160).astype(float)
    disc = fine.reshape(65, 8, 65, 8).mean(axis=(1, 3))  # radius 20, edges by area
    views = (tomography.projector(65, [0, 30, 77]) @ disc.ravel()).reshape(3, 65)
    t = np.arange(65) - 32
    chord = 2 * np.sqrt(np.maximum(20.0**2 - t**2, 0))
    assert np.abs(views - chord)[:, np.abs(t) < 18].max() < 0.25


def test_projector_agrees_with_scikit_image():
    from skimage.transform import radon

    image = ndimage.gaussian_filter(np.random.default_rng(0).random((65, 65)), 2)
    image *= np.hypot(*(np.mgrid[:65, :65] - 32)) < 30
    theirs = radon(image, ANGLES[::16]).T
    ours = (tomography.projector(65, ANGLES[::16]) @ image.ravel()).reshape(theirs.shape)
    assert np.abs(ours - theirs).max() < 0.01 * theirs.max()


def test_adjoint_gap_tells_a_transpose_from_an_impostor():
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((30, 20))
    assert tomography.adjoint_gap(lambda x: matrix @ x, lambda y: matrix.T @ y, 20, rng) < 1e-12
    almost = matrix * (1 + 1e-3 * rng.standard_normal(matrix.shape))
    assert tomography.adjoint_gap(lambda x: matrix @ x, lambda y: almost.T @ y, 20, rng) > 1e-6


# --- X-rays and FBP -------------------------------------------------------------------------------


def test_counts_and_line_integrals_are_inverse():
    p = np.array([0.0, 1.0, 5.0])
    np.testing.assert_allclose(tomography.line_integrals(tomography.photon_counts(p, 1e4), 1e4), p, atol=1e-12)
    counts = tomography.photon_counts(np.full(20000, 2.0), 1000, np.random.default_rng(0))
    mean = 1000 * np.exp(-2)
    assert abs(counts.mean() - mean) < 0.5
    assert abs(counts.var() / mean - 1) < 0.05  # Poisson: variance = mean
    assert np.isfinite(tomography.line_integrals([0.0], 100)).all()


def test_fbp_refuses_what_it_cannot_mean():
    with pytest.raises(ValueError, match="angles"):
        tomography.fbp(np.zeros((4, 9)), [0, 45])
    with pytest.raises(ValueError, match="window"):
        tomography.fbp(np.zeros((2, 9)), [0, 90], window="box")


def test_hann_trades_resolution_for_noise():
    noise = np.random.default_rng(0).standard_normal((VIEWS, SIZE))
    assert tomography.fbp(noise, ANGLES, window="hann").std() < 0.5 * tomography.fbp(noise, ANGLES).std()


def _without_ramp(sinogram, angles, spacing=1.0):
    image = tomography.projector(SIZE, angles).T @ sinogram.ravel() / len(angles)
    return image.reshape(SIZE, SIZE)


def _turning_the_other_way(sinogram, angles, spacing=1.0):
    return tomography.fbp(sinogram, -np.asarray(angles), spacing=spacing)


def _ramp_cut_in_frequency(sinogram, angles, spacing=1.0):
    """|f| sampled without padding: the constant is lost."""
    filtered = np.fft.ifft(np.fft.fft(sinogram, axis=1) * np.abs(np.fft.fftfreq(SIZE)), axis=1).real
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    out = np.zeros((SIZE, SIZE))
    for view, angle in zip(filtered, np.deg2rad(angles), strict=True):
        t = x * np.cos(angle) - y * np.sin(angle) + (SIZE - 1) / 2
        out += np.interp(t, np.arange(SIZE), view, left=0, right=0)
    return out * np.pi / len(angles)


def test_claim_my_fbp_is_the_packages(chapter):
    package = tomography.fbp(_sinogram(), ANGLES, spacing=3.0)

    def gap(image):
        return np.abs(image - package).max() / package.max()

    assert gap(chapter["my_fbp"](_sinogram(), ANGLES, 3.0)) <= 1e-6
    assert gap(_turning_the_other_way(_sinogram(), ANGLES, 3.0)) > 1e-6


def test_claim_fbp_agrees_with_scikit_image(chapter):
    from skimage.data import shepp_logan_phantom
    from skimage.transform import iradon, radon, resize

    shepp = resize(shepp_logan_phantom(), (SIZE, SIZE), anti_aliasing=True)
    shadows = radon(shepp, ANGLES)

    def gap(method):
        image = method(shadows.T, ANGLES, 1.0)
        return np.linalg.norm(image - iradon(shadows, ANGLES)) / np.linalg.norm(shepp)

    assert gap(chapter["my_fbp"]) <= 0.02
    assert gap(_turning_the_other_way) > 0.02


def test_claim_fbp_finds_the_mean(chapter):
    head, inside = _head()

    def bias(method):
        return abs((_hu(method(_sinogram(), ANGLES, 1.0)) - _hu(head))[inside].mean())

    assert bias(chapter["my_fbp"]) <= 1
    assert bias(_ramp_cut_in_frequency) > 1


def _error(method, views, dose=None, draw=0, shared=True):
    some = slice(None, None, VIEWS // views)
    p, best = _sinogram()[some], _hu(method(_sinogram(), ANGLES))
    if dose is not None:
        photons = dose / views if shared else dose
        rng = np.random.default_rng([views, draw])
        p = tomography.line_integrals(tomography.photon_counts(p, photons, rng), photons)
    return np.sqrt(np.mean((_hu(method(p, ANGLES[some])) - best)[_head()[1]] ** 2))


def test_claim_views_cut_the_error_without_noise():
    def worst(method):
        head = _hu(_head()[0])
        errors = []
        for views in (4, 8, 16, 32):
            some = slice(None, None, VIEWS // views)
            image = _hu(method(_sinogram()[some], ANGLES[some]))
            errors.append(np.sqrt(np.mean((image - head)[_head()[1]] ** 2)))
        return np.max(np.divide(errors[1:], errors[:-1]))

    assert worst(tomography.fbp) <= 0.65
    assert worst(_without_ramp) > 0.65


def test_claim_views_stop_helping_at_fixed_dose():
    def stall(shared):
        many, more = (np.mean([_error(tomography.fbp, v, 3e6, d, shared) for d in range(3)]) for v in (64, 128))
        return more / many

    assert stall(shared=True) >= 0.9
    assert stall(shared=False) < 0.9  # every view given the whole dose


# --- MRI ------------------------------------------------------------------------------------------


def test_claim_my_signal_is_the_packages(chapter):
    tissues = [tissue_signal.tissues()[name] for name in ("csf", "cortex", "white_deep")]
    package = tissue_signal.Sequence(tr=9000, te=100, ti=2400)

    def gap(equation):
        return max(abs(equation(t, 9000, 100, 2400) - package.signal(**t)) for t in tissues)

    def swapped(t, *timing):
        return chapter["my_signal"](t | {"t1": t["t2"], "t2": t["t1"]}, *timing)

    assert gap(chapter["my_signal"]) <= 1e-6
    assert gap(swapped) > 1e-6


def test_claim_contrasts_follow_the_equation(chapter):
    tissues = [tissue_signal.tissues()[name] for name in ("csf", "cortex", "white_deep")]
    timings = [(2200, 3, 1100), (5000, 100, None), (3000, 15, None), (9000, 100, 2450)]
    rng = np.random.default_rng(0)

    def ratios(equation):
        signals = np.array([[abs(equation(t, *timing)) for t in tissues] for timing in timings])
        return (signals[:, :2] / signals[:, 2:]).ravel()

    def package(t, tr, te, ti):
        return tissue_signal.Sequence(tr, te, ti).signal(**t)

    def agreement(equation):
        measured = ratios(package) * (1 + 0.08 * rng.standard_normal(8))  # people differ
        return np.corrcoef(measured, ratios(equation))[0, 1]

    assert agreement(chapter["my_signal"]) >= 0.9
    assert agreement(lambda t, tr, te, ti: chapter["my_signal"](t, tr, te)) < 0.9  # the inversion forgotten


def test_claim_kspace_round_trip():
    image = np.random.default_rng(0).random((197, 31))

    def shift_the_wrong_way(kspace):
        shifted = np.fft.fftshift(kspace, axes=(-2, -1))  # ifftshift is meant; even sizes hide it
        return np.fft.fftshift(np.fft.ifft2(shifted, norm="ortho"), axes=(-2, -1))

    def gap(inverse):
        return np.abs(inverse(acquisition.to_kspace(image)) - image).max() / image.max()

    assert gap(acquisition.from_kspace) <= 1e-12
    assert gap(shift_the_wrong_way) > 1e-12


@pytest.mark.parametrize("shape", [(40, 40), (31, 44)])
def test_coil_sensitivities(shape):
    heard = acquisition.coil_sensitivities(shape, 8)
    loudness = acquisition.sum_of_squares(heard)
    assert heard.shape == (8, *shape)
    assert np.iscomplexobj(heard)
    assert loudness.max() == pytest.approx(1)
    assert loudness[shape[0] // 2, shape[1] // 2] < 0.7  # the middle is far from every coil
    right, _, left = (np.abs(heard[c]).sum(axis=0).argmax() for c in (0, 2, 4))
    assert left < shape[1] / 4
    assert right > 3 * shape[1] / 4


def test_claim_known_maps_give_back_the_slice():
    image = np.random.default_rng(0).random((20, 23))
    heard = acquisition.coil_sensitivities(image.shape, 8)
    power = (abs(heard) ** 2).sum(axis=0)

    def gap(combined):
        return np.abs(combined - image).max()

    assert gap((heard.conj() * heard * image).sum(axis=0) / power) <= 1e-12
    assert gap((heard * heard * image).sum(axis=0) / power) > 1e-12  # conjugate forgotten


# --- nuclear imaging ------------------------------------------------------------------------------


@lru_cache
def _pet(noisy=True):
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    activity = np.where(np.hypot(x, y) < 24, 1.0, 0) + 3 * (np.hypot(x - 8, y) < 5) - (np.hypot(x + 8, y) < 6)
    system = tomography.emission_system(SIZE, ANGLES[::8], fwhm=2.5, counts_per_unit=1.0)
    mean = system @ activity.ravel()
    system = tomography.emission_system(SIZE, ANGLES[::8], fwhm=2.5, counts_per_unit=6e4 / mean.sum())
    mean = system @ activity.ravel()
    return system, np.random.default_rng(0).poisson(mean).astype(float) if noisy else mean, activity.ravel()


def test_mlem_keeps_the_total_and_the_sign():
    system, counts, _ = _pet()
    totals = []
    image = tomography.mlem(system, counts, 5, watch=lambda k, x, expected: totals.append(expected.sum()))
    np.testing.assert_allclose(totals, counts.sum(), rtol=1e-9)
    assert image.min() >= 0
    again = tomography.mlem(system, counts, 3, start=tomography.mlem(system, counts, 2))
    np.testing.assert_allclose(again, image, rtol=1e-9)


def test_mlem_takes_a_plain_matrix_with_an_unseen_pixel():
    matrix = np.array([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
    image = tomography.mlem(matrix, [2.0, 5.0], 500)
    np.testing.assert_allclose(image, [2, 3, 0], atol=1e-3)


def test_blur_moves_counts_and_makes_none():
    blur = tomography.detector_blur(41, 2.5)
    profile = blur @ np.eye(41)[20]
    assert profile.sum() == pytest.approx(1)
    assert np.interp(20 + 1.25, np.arange(41), profile) == pytest.approx(profile.max() / 2, rel=0.06)
    assert (tomography.detector_blur(5, 0).toarray() == np.eye(5)).all()


def test_log_likelihood_is_highest_at_the_counts():
    counts = np.array([0.0, 3.0, 7.0])
    best = tomography.poisson_log_likelihood(counts, counts)
    assert best > tomography.poisson_log_likelihood(counts, counts + 0.1)
    assert tomography.poisson_log_likelihood([1.0], [0.0]) == -np.inf


def test_claim_my_mlem_is_the_packages(chapter):
    system, counts, _ = _pet()
    package = tomography.mlem(system, counts, 10)

    def ratio_forgotten(system, y, iterations):
        x = np.ones(system.shape[1])
        for _ in range(iterations):
            x = x * (system.T @ y) / (system.T @ (system @ x) + 1e-12)  # ISRA: another algorithm
        return [x]

    def gap(method):
        return np.abs(method(system, counts, 10)[-1] - package).max() / package.max()

    assert gap(chapter["my_mlem"]) <= 1e-6
    assert gap(ratio_forgotten) > 1e-6


def test_claim_the_adjoint_passes_the_dot_product_test(chapter):
    system, _, _ = _pet()

    def gap(adjoint):
        return tomography.adjoint_gap(lambda x: system @ x, adjoint, SIZE**2, np.random.default_rng(0))

    assert gap(lambda y: system.T @ y) <= 1e-12
    assert gap(chapter["look_up"]) > 1e-2


def test_claim_the_likelihood_never_falls(chapter):
    system, counts, _ = _pet()

    def smallest_step(adjoint):
        x, fits = np.ones(SIZE**2), []
        sensitivity = adjoint(np.ones(system.shape[0]))
        for _ in range(150):
            ratio = counts / np.maximum(system @ x, 1e-9)
            x = x * adjoint(ratio) / np.maximum(sensitivity, 1e-9)
            fits.append(tomography.poisson_log_likelihood(counts, np.maximum(system @ x, 1e-9)))
        return np.diff(fits).min()

    assert smallest_step(lambda y: system.T @ y) >= 0
    assert smallest_step(chapter["look_up"]) < 0


def test_claim_semi_convergence():
    def worse(noisy):
        system, counts, truth = _pet(noisy)
        errors = []
        tomography.mlem(system, counts, 150, watch=lambda k, x, _: errors.append(np.linalg.norm(x - truth)))
        return errors[-1] / min(errors)

    assert worse(noisy=True) >= 1.3
    assert worse(noisy=False) < 1.3  # without counting noise the error only falls


# --- ultrasound -----------------------------------------------------------------------------------


def test_claim_speckle_ratio():
    rng = np.random.default_rng(0)
    depth, width = np.arange(-20, 21) * 0.1, np.arange(-6, 7) * 0.3
    pulse = np.exp(-((depth / 0.3) ** 2) / 2 + 4j * np.pi * depth / 0.5)
    beam = np.exp(-((width / 0.5) ** 2) / 2)
    scatterers = rng.standard_normal((900, 400))
    echo = signal.fftconvolve(scatterers, pulse[:, None] * beam, mode="same")[40:-40, 20:-20]

    def holds(image):
        return 1.82 <= image.mean() / image.std() <= 2.0

    assert holds(abs(echo))
    assert holds(abs(5 * echo))
    assert not holds(abs(echo.real))  # rectified instead of the envelope
    assert not holds(abs(echo) + 1.0)  # a background added


# --- where things are -----------------------------------------------------------------------------


@pytest.fixture
def capsule():
    voxels = np.zeros((20, 24, 16), np.int16)
    voxels[3:5, 15:17, 9:11] = 400
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    affine[:3, 3] = [-20, -30, -10]
    return nibabel.Nifti1Image(voxels, affine)


def test_claim_landmark_survives_reorientation(chapter, capsule):
    find = chapter["find_capsule"]
    turn = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(capsule.affine), nibabel.orientations.axcodes2ornt("PSL")
    )
    right = capsule.as_reoriented(turn)
    wrong = nibabel.Nifti1Image(np.asanyarray(right.dataobj), capsule.affine)  # affine left as it was

    def moved(image):
        return np.linalg.norm(find(image)[1] - find(capsule)[1])

    assert moved(right) <= 1e-6
    assert moved(wrong) > 1e-6


def test_claim_landmark_survives_dicom(chapter, capsule, tmp_path):
    import pydicom

    from medsr_course.scans import scanfiles

    uid = pydicom.uid.generate_uid
    series, study = uid(), uid()
    voxels, affine = np.asanyarray(capsule.dataobj), capsule.affine
    for name, k in enumerate(np.random.default_rng(0).permutation(16)):
        ds = pydicom.Dataset()
        ds.SOPClassUID, ds.SOPInstanceUID = pydicom.uid.MRImageStorage, uid()
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Modality = study, series, "MR"
        first = apply_affine(affine, [19, 23, int(k)])
        ds.ImagePositionPatient = [float(v) for v in (-first[0], -first[1], first[2])]
        ds.ImageOrientationPatient, ds.PixelSpacing, ds.SliceThickness = [1, 0, 0, 0, 1, 0], [2, 2], 3
        pixels = voxels[::-1, ::-1, k].T.astype(np.uint16)
        ds.Rows, ds.Columns = pixels.shape
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
        ds.PixelData = pixels.tobytes()
        ds.file_meta = pydicom.dataset.FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        ds.save_as(tmp_path / f"{name:03d}.dcm", enforce_file_format=True)
    find = chapter["find_capsule"]

    def moved(image):
        return np.linalg.norm(find(image)[1] - find(capsule)[1])

    read = scanfiles.read_dicom(tmp_path)
    assert moved(read) <= 1e-3
    still_lps = nibabel.Nifti1Image(np.asanyarray(read.dataobj), np.diag([-1.0, -1.0, 1.0, 1.0]) @ read.affine)
    assert moved(still_lps) > 1e-3


# --- X-ray ----------------------------------------------------------------------------------------


def test_photons_die_by_beer_and_lambert_in_any_order():
    chapter = taught("03", {"np": np}, ("survivors",))
    mu, rng = np.array([0.002, 0.03, 0.0193, 0.05, 0.0]), np.random.default_rng(0)
    law = 10**9 * np.exp(-mu.sum() * 5)
    assert abs(chapter["survivors"](mu, 5, 10**9, rng) / law - 1) < 0.01
    assert abs(chapter["survivors"](mu[::-1], 5, 10**9, rng) / law - 1) < 0.01
    linear = 10**9 * (1 - mu.sum() * 5)  # a share of the photons that entered, not of those still there
    assert abs(linear / law - 1) > 0.1


def test_a_film_of_the_chest_shows_what_changes_along_the_ray():
    chapter = taught("03", {"np": np, "STEP": 2}, ("chest",))
    well, ill = (WATER * (1 + chapter["chest"](state) / 1000) for state in (False, True))
    change = ill.sum(axis=1) - well.sum(axis=1)
    turned = ill[:, ::-1].sum(axis=1) - well[:, ::-1].sum(axis=1)
    assert np.allclose(change, turned, atol=1e-4)  # front or back: the same film
    assert change[:90].max() > 0  # fluid on the left stops more
    assert change[:90].min() > -1e-4
    assert change[90:].min() < -0.01  # a gap in a rib on the right stops less
    assert change[90:].max() < 1e-4
    side = ill.sum(axis=0) - well.sum(axis=0)
    assert side.shape != change.shape
    assert np.ptp(side) > 0
