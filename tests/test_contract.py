"""The contract: its JSON, its hash, its cameras, and every gap between it and an offer."""

from __future__ import annotations

import json
import math
import pickle
from dataclasses import FrozenInstanceError, replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robolearn.contract import Action, Camera, Channel, Contract, pixel_map
from robolearn.errors import InputError

JOINTS = tuple(f"panda_joint{i}" for i in range(1, 8))
FRONT = Camera.from_fovy("front", 64, 48, 0.6, "base", (1.0, 0.0, 0.5), (0.5, -0.5, 0.5, -0.5), delay=0.03)
LIMITER = {
    "tau_max": [86.0] * 4 + [11.5] * 3,
    "dtau": [1.0] * 7,
    "q_lo": [-2.0] * 7,
    "q_hi": [2.0] * 7,
    "wall_stiffness": [200.0] * 7,
    "dq_max": [2.0] * 7,
    "power_max": 210.0,
}


def make(**changes: object) -> Contract:
    values: dict[str, object] = {
        "arm": "panda",
        "joints": JOINTS,
        "proprioception": (Channel("q", "rad", 7, per_joint=True), Channel("gripper", "m", 2)),
        "cameras": (FRONT,),
        "action": Action("torque", 7, "N·m", gripper=True),
        "control_rate": 20.0,
        "filter_rate": 200.0,
        "limiter": LIMITER,
        "delays": {"state": 0.01},
        "history": 2,
        **changes,
    }
    return Contract(**values)  # type: ignore[arg-type]


def gaps(contract: Contract, offered: object) -> list[str]:
    return [str(gap) for gap in contract.satisfied_by(offered)]  # type: ignore[arg-type]


def turned(camera: Camera, angle: float, axis: tuple[float, float, float]) -> Camera:
    """The camera turned about an axis of its own optical frame."""
    w, x, y, z = camera.quaternion
    c, (a, b, d) = math.cos(angle / 2), (math.sin(angle / 2) * k for k in axis)
    q = (
        w * c - x * a - y * b - z * d,
        w * a + x * c + y * d - z * b,
        w * b - x * d + y * c + z * a,
        w * d + x * b - y * a + z * c,
    )
    return replace(camera, quaternion=q)


# --- JSON and hash


def test_json_round_trip_and_canonical_form():
    contract = make()
    text = contract.to_json()
    assert Contract.from_json(text) == contract
    assert Contract.from_json(text).to_json() == text
    assert Contract.from_json(text.encode()) == contract
    assert list(json.loads(text)) == sorted(json.loads(text))
    assert ": " not in text
    assert "N·m" in text


def test_hash_is_of_the_canonical_json():
    contract = make()
    assert len(contract.hash) == 64
    # How a value was written does not matter: its kind, the order of a mapping, the sign of a quaternion.
    same = make(
        control_rate=20,
        limiter={
            name: np.asarray(LIMITER[name]) if name != "power_max" else 210 for name in reversed(LIMITER)
        },
        cameras=[replace(FRONT, quaternion=(-0.5, 0.5, -0.5, 0.5))],
        joints=list(JOINTS),
    )
    assert same == contract
    assert same.hash == contract.hash
    assert hash(same) == hash(contract)
    # This figure is the format: if it changes, VERSION has to.
    plain = replace(FRONT, fx=80.0, fy=80.0, rotation_tolerance=0.05)
    assert make(cameras=(plain,)).hash == "d2e3c20d1c29801d7abe09a545c88b12cfa6cf8770e55380d875e125c0e8df67"


@pytest.mark.parametrize(
    "change",
    [
        {"arm": "fr3"},
        {"joints": JOINTS[::-1]},
        {"proprioception": ()},
        {"cameras": (replace(FRONT, cx=FRONT.cx + 1e-12),)},
        {"action": Action("torque", 7, "N·m", gripper=False)},
        {"control_rate": math.nextafter(20.0, 21.0)},
        {"filter_rate": 100.0},
        {"limiter": {**LIMITER, "power_max": 200.0}},
        {"delays": {}},
        {"history": 1},
        {"delay_tolerance": 0.02},
    ],
)
def test_every_field_counts_in_the_hash(change):
    assert make(**change).hash != make().hash


finite = st.floats(allow_nan=False, allow_infinity=False)
positive = st.floats(min_value=1e-3, max_value=1e6)
names = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=8)
quaternions = st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: math.hypot(*q) > 0.1)
cameras = st.builds(
    Camera,
    name=names,
    width=st.integers(1, 4096),
    height=st.integers(1, 4096),
    fx=positive,
    fy=positive,
    cx=st.floats(-1e3, 5e3),
    cy=st.floats(-1e3, 5e3),
    frame=st.sampled_from(["base", "hand"]),
    position=st.tuples(finite, finite, finite),
    quaternion=quaternions.map(lambda q: tuple(x / math.hypot(*q) for x in q)),
    position_tolerance=positive,
    rotation_tolerance=positive,
    delay=positive,
    encoding=st.sampled_from(["rgb8", "depth"]),
)


@st.composite
def contracts(draw: st.DrawFn) -> Contract:
    joints = draw(st.lists(names, min_size=1, max_size=8, unique=True))
    per_joint = st.lists(finite, min_size=len(joints), max_size=len(joints))
    return make(
        arm=draw(names),
        joints=joints,
        proprioception=[Channel(name, "1", 3) for name in draw(st.lists(names, unique=True, max_size=3))],
        cameras=draw(st.lists(cameras, max_size=3, unique_by=lambda camera: camera.name)),
        action=Action("torque", len(joints), "N·m", draw(st.booleans())),
        control_rate=draw(positive),
        limiter=draw(st.dictionaries(names, finite | per_joint, max_size=4)),
        delays=draw(st.dictionaries(names, positive, max_size=3)),
        history=draw(st.integers(1, 100)),
    )


@given(contracts())
def test_any_contract_survives_json_and_pickle_and_satisfies_itself(contract: Contract):
    again = Contract.from_json(contract.to_json())
    assert again == contract
    assert again.hash == contract.hash
    assert pickle.loads(pickle.dumps(contract)).hash == contract.hash
    assert contract.satisfied_by(contract.offered()) == []


def edited(path: tuple[str | int, ...], value: object) -> str:
    data = make().to_dict()
    data = json.loads(json.dumps(data))
    place = data
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return json.dumps(data)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "contract is not JSON"),
        ("[" * 100_000, "contract is not JSON"),
        ("\xff".encode("latin-1"), "contract is not JSON"),
        ("[]", "contract is \\[\\]; it must be a mapping"),
        ('{"a":1,"a":2}', "has the key 'a' more than once"),
        (make().to_json().replace("20.0", "NaN"), "contract holds NaN; its numbers must be finite"),
        (make().to_json().replace("20.0", "-Infinity"), "contract holds -Infinity"),
        (
            make().to_json().replace("20.0", "1e999"),
            "control_rate is inf; it must be a finite number above 0",
        ),
        (
            make().to_json().replace("20.0", "1" + "0" * 400),
            "control_rate is 10+; it must be a finite number",
        ),
        (make().to_json().replace('"arm":"panda",', ""), "contract lacks 'arm'; its keys are action, arm,"),
        (edited(("colour",), 1), "contract has an unknown key 'colour'"),
        (edited(("version",), 2), "contract version is 2; this robolearn reads version 1"),
        (edited(("version",), True), "contract version is True"),
        (edited(("arm",), ""), "arm is ''; it must be a printable text"),
        (edited(("arm",), None), "arm is None"),
        (edited(("joints",), "panda"), "joints is 'panda'; it must be a list"),
        (edited(("joints",), []), "joints is empty"),
        (edited(("joints",), ["a"] * 7), "joints names a more than once"),
        (edited(("joints", 0), 3), "joints\\[0\\] is 3"),
        (edited(("control_rate",), "20"), "control_rate is '20'; it must be a finite number above 0"),
        (edited(("control_rate",), True), "control_rate is True"),
        (edited(("filter_rate",), 0), "filter_rate is 0; it must be a finite number above 0"),
        (edited(("history",), 1.0), "history is 1.0; it must be a whole number from 1 up"),
        (edited(("history",), 0), "history is 0"),
        (edited(("delays", "state"), -1), "delay state is -1; it must be a finite number from 0 up"),
        (edited(("delays",), []), "delays is \\[\\]; it must be a mapping"),
        (edited(("delay_tolerance",), -0.1), "delay_tolerance is -0.1"),
        (edited(("limiter", "dtau"), [1.0]), "limiter dtau has 1 numbers, .*; it must have 7"),
        (edited(("limiter", "dtau", 3), "x"), "limiter dtau\\[3\\] is 'x'"),
        (edited(("limiter", "dtau"), "x"), "limiter dtau is 'x'; it must be a finite number"),
        (edited(("limiter", "dtau"), {}), "limiter dtau is {}; it must be a list"),
        (edited(("action",), None), "action is None; it must be a mapping"),
        (edited(("action", "kind"), "torqe"), "unknown action kind 'torqe' .*did you mean 'torque'"),
        (edited(("action", "size"), 6), "action 'torque' has size 6; there are 7 joints"),
        (edited(("action", "gripper"), 1), "action gripper is 1; it must be true or false"),
        (edited(("action", "unit"), 1), "action unit is 1"),
        (edited(("proprioception",), {}), "proprioception is {}; it must be a list"),
        (edited(("proprioception", 0), "q"), "proprioception\\[0\\] is 'q'; it must be a mapping"),
        (edited(("proprioception", 0, "size"), 6), "channel 'q' has size 6; there are 7 joints"),
        (edited(("proprioception", 0, "name"), "gripper"), "proprioception names gripper more than once"),
        (
            edited(("cameras", 0, "width"), 0),
            "width of camera 'front' is 0; it must be a whole number from 1 up",
        ),
        (edited(("cameras", 0, "fx"), -3), "fx of camera 'front' is -3; it must be a finite number above 0"),
        (edited(("cameras", 0, "frame"), "world"), "unknown frame of camera 'front' 'world'.* base, hand"),
        (edited(("cameras", 0, "encoding"), 8), "encoding of camera 'front' is 8"),
        (edited(("cameras", 0, "position"), [1, 2]), "position of camera 'front' has 2 numbers"),
        (
            edited(("cameras", 0, "quaternion"), [1, 1, 0, 0]),
            "quaternion of camera 'front' is .*of norm 1.41421",
        ),
        (edited(("cameras", 0, "quaternion"), [0, 0, 0, 0]), "of norm 0"),
        (edited(("cameras", 0, "delay"), -1), "delay of camera 'front' is -1"),
        (edited(("cameras", 0, "name"), "fr\nont"), "camera name is 'fr\\\\nont'"),
        (edited(("cameras", 0, "zoom"), 1), "cameras\\[0\\] has an unknown key 'zoom'"),
    ],
)
def test_bad_json_is_named(text, message):
    with pytest.raises(InputError, match=message):
        Contract.from_json(text)


def test_every_wrong_key_is_told_at_once():
    data = make().to_dict()
    del data["arm"], data["joints"]
    data["extra"] = 1
    with pytest.raises(InputError, match=r"lacks 'arm', lacks 'joints', has an unknown key 'extra'"):
        Contract.from_dict(data)


def test_records_are_checked_frozen_and_detached_from_their_arguments():
    with pytest.raises(InputError, match="action is 'torque'; it must be an Action"):
        make(action="torque")
    with pytest.raises(InputError, match=r"cameras\[0\] is 'front'; it must be of type Camera"):
        make(cameras=("front",))
    with pytest.raises(InputError, match="cameras names front more than once"):
        make(cameras=(FRONT, FRONT))
    with pytest.raises(InputError, match="a name in limiter"):
        make(limiter={3: 1.0})
    contract = make()
    with pytest.raises(FrozenInstanceError):
        contract.arm = "fr3"  # type: ignore[misc]
    delays = {"state": 0.01}
    contract = make(delays=delays)
    delays["state"] = 1.0
    assert contract.delays == {"state": 0.01}


def test_action_length_counts_the_gripper():
    assert Action("pose", 6, "m, rad", gripper=True).length == 7
    assert Action("pose", 6, "m, rad", gripper=False).length == 6


# --- offers


def test_an_offer_may_have_more_in_any_order():
    contract = make()
    order = [3, 6, 0, 5, 2, 4, 1]
    joints = ("rail", *(JOINTS[i] for i in order), "spare")
    limiter = {
        name: value if name == "power_max" else [0.0, *(value[i] for i in order), 0.0]
        for name, value in LIMITER.items()
    }
    offer = replace(
        contract.offered(),
        joints=joints,
        proprioception=(Channel("gripper", "m", 2), Channel("wrench", "N", 6), Channel("q", "rad", 9, True)),
        cameras=(replace(FRONT, name="top"), replace(FRONT, position_tolerance=0.0, delay=0.035)),
        actions=(Action("pose", 6, "m, rad", False), Action("torque", 9, "N·m", True)),
        control_rate=(1, 100),
        filter_rate=(100, 1000),
        limiter=limiter,
        delays={"action": 1.0, "state": 0.019},
    )
    assert gaps(contract, offer) == []
    contract.require(offer)


def test_every_gap_is_listed_at_once():
    contract = make()
    offer = replace(
        contract.offered(),
        arm="fr3",
        joints=tuple(name.replace("panda_joint7", "tool") for name in JOINTS),
        proprioception=(Channel("q", "deg", 7, per_joint=True),),
        cameras=(),
        actions=(Action("pose", 6, "m, rad", True),),
        control_rate=(50, 50),
        filter_rate=(500, 1000),
        limiter={**contract.limiter, "power_max": 100},
        delays={"action": 0.01},
    )
    assert gaps(contract, offer) == [
        "arm: requires 'panda', offered 'fr3'",
        "joints: requires panda_joint7, offered only "
        "panda_joint1, panda_joint2, panda_joint3, panda_joint4, panda_joint5, panda_joint6, tool",
        "channel q unit: requires rad, offered deg",
        "channel gripper: requires 2 x m, offered only q",
        "camera front: requires 64 x 48 rgb8, offered none",
        "action kind: requires torque, offered only pose",
        "control_rate: requires 20 Hz, offered 50 Hz",
        "filter_rate: requires 200 Hz, offered 500 to 1000 Hz",
        "limiter power_max: requires 210, offered at most 100",
        "delay state: requires 10 ms, offered only action",
    ]
    with pytest.raises(InputError, match=r"(?s)arm: .*control_rate: .*delay state: "):
        contract.require(offer)


def test_channel_and_action_gaps():
    contract = make()
    offer = replace(
        contract.offered(),
        proprioception=(Channel("q", "rad", 7), Channel("gripper", "m", 1)),
        actions=(Action("torque", 7, "mN·m", False),),
    )
    assert gaps(contract, offer) == [
        "channel q: requires one number a joint, offered numbers not tied to joints",
        "channel gripper size: requires 2, offered 1",
        "action torque unit: requires N·m, offered mN·m",
        "gripper: requires one, offered none",
    ]
    pose = make(action=Action("pose", 6, "m, rad", False))
    offer = replace(pose.offered(), actions=(Action("pose", 3, "m, rad", True),))
    assert gaps(pose, offer) == ["action pose size: requires 6, offered 3"]


@pytest.mark.parametrize(
    ("name", "value", "gap"),
    [
        (
            "tau_max",
            [85.0, 86.0, 86.0, 86.0, 11.5, 11.5, 11.5],
            "tau_max of panda_joint1: requires 86, offered at most 85",
        ),
        ("tau_max", [87.0] * 7, None),
        ("dtau", [1.0] * 6 + [0.5], "dtau of panda_joint7: requires 1, offered at most 0.5"),
        ("q_lo", [-1.0] + [-2.0] * 6, "q_lo of panda_joint1: requires -2, offered at least -1"),
        ("q_lo", [-3.0] * 7, None),
        ("q_hi", [1.0] + [2.0] * 6, "q_hi of panda_joint1: requires 2, offered at most 1"),
        ("dq_max", [3.0] * 7, None),
        (
            "wall_stiffness",
            [250.0] + [200.0] * 6,
            "wall_stiffness of panda_joint1: requires 200, offered 250",
        ),
        ("wall_stiffness", [200.0 + 1e-10] * 7, None),
        ("wall_stiffness", 200.0, "wall_stiffness: requires one number a joint, offered one number"),
        ("power_max", [30.0] * 7, "power_max: requires one number, offered one number a joint"),
        ("snap_max", 1.0, "snap_max: requires no bound of that name, offered one"),
    ],
)
def test_the_limiter_must_lie_inside_the_offered_one(name, value, gap):
    contract = make()
    offer = replace(contract.offered(), limiter={**contract.limiter, name: value})
    assert gaps(contract, offer) == ([] if gap is None else [f"limiter {gap}"])


def test_a_limiter_parameter_that_is_not_offered_is_a_gap():
    offer = replace(make().offered(), limiter={k: v for k, v in LIMITER.items() if k != "dtau"})
    assert gaps(make(), offer) == [
        "limiter dtau: requires a bound of that name, "
        "offered only tau_max, q_lo, q_hi, wall_stiffness, dq_max, power_max"
    ]


@pytest.mark.parametrize(("delay", "fits"), [(0.0, True), (0.02, True), (0.0201, False), (0.01, True)])
def test_delays_have_a_tolerance_either_way(delay, fits):
    contract = make(delays={"state": 0.01}, delay_tolerance=0.01)
    assert (gaps(contract, replace(contract.offered(), delays={"state": delay})) == []) == fits
    slow = make(delays={"state": 0.04})
    assert gaps(slow, replace(slow.offered(), delays={"state": 0.01})) == [
        "delay state: requires 40 ms, give or take 10 ms, offered 10 ms"
    ]


def test_an_offer_is_checked_too():
    offer = make().offered()
    with pytest.raises(InputError, match="control_rate is 30 to 20; it must be a lowest and a highest rate"):
        replace(offer, control_rate=(30, 20))
    with pytest.raises(InputError, match=r"control_rate is 20\.0; it must be a list"):
        replace(offer, control_rate=20.0)
    with pytest.raises(InputError, match="action 'torque' has size 6"):
        replace(offer, actions=(Action("torque", 6, "N·m", True),))
    with pytest.raises(InputError, match="actions names torque more than once"):
        replace(offer, actions=offer.actions * 2)


# --- cameras


def test_fovy_and_intrinsics_agree():
    camera = Camera.from_fovy(
        "front", 84, 60, math.radians(45), "base", (0, 0, 1), (1, 0, 0, 0), encoding="depth"
    )
    assert camera.fovy == pytest.approx(math.radians(45), abs=1e-12)
    assert camera.encoding == "depth"
    top = camera.matrix @ [0.0, -math.tan(math.radians(22.5)), 1.0]
    assert top == pytest.approx([41.5, -0.5, 1.0])  # the upper edge of the middle column
    for fovy in (0.0, math.pi, -1.0, math.nan, "45"):
        with pytest.raises(InputError, match="fovy of camera 'front'"):
            Camera.from_fovy("front", 84, 60, fovy, "base", (0, 0, 1), (1, 0, 0, 0))
    with pytest.raises(InputError, match="width of camera 'front' is 0"):
        Camera.from_fovy("front", 0, 60, 1.0, "base", (0, 0, 1), (1, 0, 0, 0))
    for change in ({"fx": 80.0}, {"cx": 40.0}):
        with pytest.raises(InputError, match="camera 'front' has no fovy"):
            _ = replace(camera, **change).fovy


def test_rotation_is_that_of_the_quaternion():
    assert np.array_equal(replace(FRONT, quaternion=(1, 0, 0, 0)).rotation, np.eye(3))
    quarter = replace(FRONT, quaternion=(math.sqrt(0.5), 0, 0, math.sqrt(0.5)))  # about z
    assert quarter.rotation @ [1, 0, 0] == pytest.approx([0, 1, 0])
    assert FRONT.rotation @ FRONT.rotation.T == pytest.approx(np.eye(3))
    rounded = replace(FRONT, quaternion=(0.7071, 0, 0, 0.7071))
    assert math.hypot(*rounded.quaternion) == pytest.approx(1.0, abs=1e-15)


def test_pixel_map_of_equal_poses_is_a_crop_and_a_resize():
    # The same view, ten times finer: each pixel covers 10 x 10.
    offered = replace(FRONT, width=640, height=480, fx=10 * FRONT.fx, fy=10 * FRONT.fy, cx=319.5, cy=239.5)
    h = pixel_map(FRONT, offered)
    assert h == pytest.approx(np.array([[10, 0, 4.5], [0, 10, 4.5], [0, 0, 1]]))
    assert pixel_map(FRONT, FRONT) == pytest.approx(np.eye(3))


@given(
    st.tuples(*[st.floats(-0.2, 0.2)] * 3),
    st.tuples(st.floats(-0.3, 0.3), st.floats(-0.2, 0.2), st.floats(0.3, 3.0)),
)
def test_pixel_map_agrees_with_projecting_a_point(twist, point):
    """A point in space, seen by two cameras at one place with different lenses and rotations."""
    angle = math.hypot(*twist)
    axis = tuple(x / angle for x in twist) if angle > 1e-6 else (1.0, 0.0, 0.0)
    offered = turned(replace(FRONT, width=1280, height=720, fx=700, fy=710, cx=650, cy=350), angle, axis)
    world = FRONT.rotation @ point  # from the common centre of projection
    in_offered = offered.rotation.T @ world
    expected = offered.matrix @ in_offered / in_offered[2]
    pixel = FRONT.matrix @ point / point[2]
    mapped = pixel_map(FRONT, offered) @ pixel
    assert mapped / mapped[2] == pytest.approx(expected, abs=1e-6)
    assert mapped[2] == pytest.approx(in_offered[2] / point[2])  # the ratio of depths


def test_pixel_map_makes_the_required_image():
    """A wide picture of a pattern at infinity, warped, is the picture that the required camera takes."""

    def picture(camera: Camera) -> np.ndarray:
        u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
        rays = np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(camera.matrix).T @ camera.rotation.T
        rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
        return (100 + 80 * np.sin(9 * rays[..., 1]) * np.cos(7 * rays[..., 2])).astype(np.float32)

    wide = Camera.from_fovy("front", 320, 240, 0.9, "base", FRONT.position, FRONT.quaternion)
    wide = turned(wide, 0.05, (0.6, 0.0, 0.8))
    size = (FRONT.width, FRONT.height)
    made = cv2.warpPerspective(
        picture(wide), pixel_map(FRONT, wide), size, flags=cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
    )
    assert np.abs(made - picture(FRONT)).max() < 0.5
    assert np.abs(picture(replace(FRONT, quaternion=wide.quaternion)) - picture(FRONT)).max() > 5


def test_a_wider_or_finer_camera_satisfies_a_virtual_one():
    contract = make()
    wide = Camera.from_fovy("front", 640, 480, 0.7, "base", FRONT.position, FRONT.quaternion, delay=0.03)
    moved = replace(wide, position=(1.0, 0.012, 0.516))  # 20 mm
    mounted = turned(wide, math.radians(2.0), (0.0, 1.0, 0.0))
    coarse = Camera.from_fovy("front", 32, 24, 0.7, "base", FRONT.position, FRONT.quaternion, delay=0.03)
    for camera in (wide, moved, mounted, coarse):
        assert gaps(contract, replace(contract.offered(), cameras=(camera,))) == []


def test_camera_gaps():
    contract = make()
    narrow = Camera.from_fovy("front", 640, 480, 0.5, "base", (1.1, 0, 0.5), FRONT.quaternion, delay=0.05)
    far_off = turned(replace(narrow, encoding="depth"), math.radians(10), (0.0, 0.0, 1.0))
    too_small = (
        "640 x 480, too small by 68 px at the left, 68 px at the right, 51 px at the top, 51 px at the bottom"
    )
    assert gaps(contract, replace(contract.offered(), cameras=(far_off,))) == [
        "camera front encoding: requires rgb8, offered depth",
        "camera front delay: requires 30 ms, give or take 10 ms, offered 50 ms",
        "camera front position: requires within 20 mm, offered 100.0 mm off",
        "camera front rotation: requires within 3 degrees, offered 10.00 degrees off",
        f"camera front field of view: requires every pixel within the offered image, offered {too_small}",
    ]
    on_hand = replace(FRONT, frame="hand", position=(9, 9, 9))
    assert gaps(contract, replace(contract.offered(), cameras=(on_hand,))) == [
        "camera front frame: requires base, offered hand"
    ]


def test_a_rotation_that_is_corrected_needs_a_wider_view():
    contract = make()
    same_lens = turned(FRONT, math.radians(2.0), (0.0, 1.0, 0.0))
    (gap,) = gaps(contract, replace(contract.offered(), cameras=(same_lens,)))
    assert "field of view" in gap
    assert "px at the left" in gap
    assert "right" not in gap
    tolerant = make(cameras=(replace(FRONT, rotation_tolerance=math.pi),))
    (gap,) = gaps(tolerant, replace(contract.offered(), cameras=(turned(FRONT, 3.0, (0.0, 1.0, 0.0)),)))
    assert "a view that is partly behind it" in gap


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_view_that_cannot_be_computed_is_not_covered():
    absurd = replace(FRONT, fx=1e-300, cx=1e300)
    offer = replace(make().offered(), cameras=(absurd,))
    assert any("field of view" in gap for gap in gaps(make(cameras=(absurd,)), offer))


def test_zero_tolerance_accepts_the_very_same_pose():
    strict = make(
        cameras=(replace(turned(FRONT, 0.3, (0, 1, 0)), position_tolerance=0, rotation_tolerance=0),)
    )
    assert gaps(strict, strict.offered()) == []
