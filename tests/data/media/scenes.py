"""Scenes and voices with enough in them to be told apart, made from a seed."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mainstem.data.media.prints_pictures import SIDE, PicturePrint, print_picture


def scene(seed: int, size: tuple[int, int] = (480, 320)) -> Image.Image:
    """A picture of shaded ground under 60 figures."""
    random = np.random.default_rng(seed)
    ground = Image.fromarray(random.integers(60, 200, (6, 9, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(ground)
    for _ in range(60):
        left, top = random.uniform(-0.1, 1, 2) * size
        box = (left, top, left + random.uniform(8, 90), top + random.uniform(8, 90))
        paint = draw.ellipse if random.random() < 0.5 else draw.rectangle
        paint(box, fill=tuple(random.integers(0, 255, 3).tolist()))
    return ground


def chart(seed: int) -> Image.Image:
    """A line chart of data from a seed; title and axes are the same in all."""
    random, font = np.random.default_rng(seed), ImageFont.load_default(14)
    page = Image.new("RGB", (640, 480), "white")
    draw = ImageDraw.Draw(page)
    draw.rectangle((70, 40, 610, 420), outline="black")
    for tick in range(6):
        right, up = 70 + 108 * tick, 420 - 76 * tick
        draw.line((right, 420, right, 426), fill="black")
        draw.text((right - 10, 430), str(2000 + 5 * tick), fill="black", font=font)
        draw.line((64, up, 70, up), fill="black")
        draw.text((30, up - 8), str(20 * tick), fill="black", font=font)
    draw.text((230, 12), "Mean temperature by year", fill="black", font=ImageFont.load_default(18))
    values = np.cumsum(random.normal(0, 14, 40))
    heights = 360 - 300 * (values - values.min()) / np.ptp(values)
    draw.line(list(zip(np.linspace(70, 610, 40).tolist(), heights.tolist(), strict=True)), fill="blue", width=3)
    return page


def printed(image: Image.Image) -> PicturePrint:
    image = image.copy()
    image.thumbnail((SIDE, SIDE))
    return print_picture(np.asarray(image))


def voice(seed: int, seconds: float = 6.0, rate: int = 8000) -> np.ndarray:
    """Syllables of gliding harmonics under moving formants, float32."""
    random = np.random.default_rng(seed)
    times = np.arange(round(seconds * rate)) / rate

    def glide(low: float, high: float, every_s: float) -> np.ndarray:
        knots = np.arange(0, seconds + 2 * every_s, every_s)
        return np.interp(times, knots, random.uniform(low, high, len(knots)))

    pitch = np.cumsum(glide(90, 220, 0.25)) / rate
    formants = [glide(250, 800, 0.18), glide(800, 1800, 0.18)]
    sound = np.zeros(len(times))
    for number in range(1, 18):
        hertz = number * np.gradient(pitch, times)
        gain = sum(np.exp(-(((hertz - formant) / 150) ** 2)) for formant in formants)
        sound += gain * np.sin(2 * np.pi * number * pitch)
    sound *= glide(0, 1, 0.12)
    return (0.5 * sound / abs(sound).max()).astype(np.float32)
