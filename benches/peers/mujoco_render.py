"""Draws scenes with MuJoCo's own renderer, for `worldstep bench render --peers`.

Reads one JSON object a line and answers with one. First the scene: bodies (shape, size, position, quat_wxyz, rgb), the
camera (position, right, up, fovy_deg) and light (direction). Then what to measure: size, shadows, seconds. MUJOCO_GL
(osmesa, egl) says what draws.
"""

import json
import math
import sys
import time

import mujoco

SIDE_MAX = 1024
# Its own default is 4,096 texels: shadows alone would then take a second a view on a processor. Worldstep's maps have
# 128 texels for 64 pixels and 256 for 128; so do these.
SHADOW_TEXELS_PER_PIXEL = 2


def numbers(values):
    return " ".join(repr(float(value)) for value in values)


def mjcf(scene, size):
    geoms = "".join(
        f'<geom type="{body["shape"]}" size="{numbers(body["size"])}" pos="{numbers(body["position"])}"'
        f' quat="{numbers(body["quat_wxyz"])}" rgba="{numbers(body["rgb"])} 1"/>'
        for body in scene["bodies"]
    )
    camera = scene["camera"]
    axes = numbers(camera["right"] + camera["up"])
    light = [-10 * x for x in scene["light"]]
    return f"""
<mujoco>
  <visual><global offwidth="{SIDE_MAX}" offheight="{SIDE_MAX}"/><quality offsamples="4" shadowsize="{SHADOW_TEXELS_PER_PIXEL * size}"/></visual>
  <worldbody>
    <light directional="true" castshadow="true" dir="{numbers(light)}" pos="{numbers(-x for x in light)}"/>
    <camera name="eye" pos="{numbers(camera["position"])}" xyaxes="{axes}" fovy="{camera["fovy_deg"]}"/>
    {geoms}
  </worldbody>
</mujoco>"""


def views_per_s(model, data, size, shadows, seconds):
    with mujoco.Renderer(model, size, size) as renderer:
        renderer.scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = shadows
        renderer.scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False
        renderer.update_scene(data, camera="eye")
        image = renderer.render()
        views, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            renderer.update_scene(data, camera="eye")
            renderer.render(out=image)
            views += 1
        rate = views / (time.perf_counter() - start)
    # A picture of one colour would mean that nothing is drawn.
    return rate if image.std() > 1 else math.nan


def main():
    scene = json.loads(sys.stdin.readline())
    print(json.dumps({"version": mujoco.__version__}), flush=True)
    for line in sys.stdin:
        ask = json.loads(line)
        # The size of a shadow map is part of the model.
        model = mujoco.MjModel.from_xml_string(mjcf(scene, ask["size"]))
        data = mujoco.MjData(model)
        mujoco.mj_forward(model, data)
        rate = views_per_s(model, data, ask["size"], ask["shadows"], ask["seconds"])
        print(json.dumps({"views_per_s": rate}), flush=True)


if __name__ == "__main__":
    main()
