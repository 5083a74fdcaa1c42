"""Triangles to pixels: loops that numba compiles. The compiled code is cached beside the package."""

import numba
import numpy as np


@numba.njit(cache=True)
def deform(points, offsets, weights):
    """points [V, 3] + the sum of offsets [S, V, 3] by weights [S], as float32."""
    moved = points.astype(np.float32)
    for shape in range(len(weights)):
        weight = weights[shape]
        if weight != 0:
            for v in range(len(points)):
                for axis in range(3):
                    moved[v, axis] += weight * offsets[shape, v, axis]
    return moved


@numba.njit(cache=True)
def vertex_normals(points, triangles):
    """Unit normals [V, 3] of the vertices: the mean of their triangles', weighted by area."""
    normals = np.zeros(points.shape, np.float32)
    for t in range(len(triangles)):
        a, b, c = triangles[t]
        ux, uy, uz = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1], points[b, 2] - points[a, 2]
        vx, vy, vz = points[c, 0] - points[a, 0], points[c, 1] - points[a, 1], points[c, 2] - points[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for i in (a, b, c):
            normals[i, 0] += nx
            normals[i, 1] += ny
            normals[i, 2] += nz
    for i in range(len(normals)):
        length = np.sqrt(normals[i, 0] ** 2 + normals[i, 1] ** 2 + normals[i, 2] ** 2) + 1e-12
        for axis in range(3):
            normals[i, axis] /= length
    return normals


@numba.njit(cache=True)
def rasterise(screen, triangles, size):
    """The nearest triangle at the centre of each pixel.

    screen [V, 3]: x to the right and y down in pixels, depth growing towards the viewer. Returns, flat over
    size x size pixels, the number of the triangle (-1 for none), its barycentric weights [3], the depth."""
    nearest = np.full(size * size, -1, np.int32)
    depth = np.full(size * size, -1e9, np.float32)
    weights = np.zeros((size * size, 3), np.float32)
    for t in range(len(triangles)):
        a, b, c = triangles[t]
        ax, ay, bx, by = screen[a, 0], screen[a, 1], screen[b, 0], screen[b, 1]
        cx, cy = screen[c, 0], screen[c, 1]
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if abs(area) < 1e-9:
            continue
        left = max(0, int(np.floor(min(ax, bx, cx) - 0.5)))
        right = min(size - 1, int(np.ceil(max(ax, bx, cx) - 0.5)))
        top = max(0, int(np.floor(min(ay, by, cy) - 0.5)))
        bottom = min(size - 1, int(np.ceil(max(ay, by, cy) - 0.5)))
        for row in range(top, bottom + 1):
            y = row + 0.5
            for column in range(left, right + 1):
                x = column + 0.5
                u = ((x - ax) * (cy - ay) - (cx - ax) * (y - ay)) / area
                v = ((bx - ax) * (y - ay) - (x - ax) * (by - ay)) / area
                if u < -1e-5 or v < -1e-5 or u + v > 1 + 1e-5:
                    continue
                z = screen[a, 2] + u * (screen[b, 2] - screen[a, 2]) + v * (screen[c, 2] - screen[a, 2])
                pixel = row * size + column
                if z > depth[pixel]:
                    depth[pixel], nearest[pixel] = z, t
                    weights[pixel, 0], weights[pixel, 1], weights[pixel, 2] = 1 - u - v, u, v
    return nearest, weights, depth


@numba.njit(cache=True)
def interpolate(values, triangles, numbers, weights):
    """values [V, C] at vertices -> [K, C] inside K triangles, by barycentric weights [K, 3]."""
    inside = np.zeros((len(numbers), values.shape[1]), np.float32)
    for k in range(len(numbers)):
        for corner in range(3):
            vertex = triangles[numbers[k], corner]
            for channel in range(values.shape[1]):
                inside[k, channel] += weights[k, corner] * values[vertex, channel]
    return inside
