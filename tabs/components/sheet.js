// Shared by the components that show digits from one large picture, in which they lie side by side.
const PX = 28;

function loadSheet(url, ready) {
  const image = new Image();
  image.onload = () => ready(image);
  image.src = url;
}

// Picture number `i` of a sheet with `columns` of them, into a canvas of 28x28 px that CSS enlarges.
function drawDigit(canvas, sheet, columns, i) {
  const [x, y] = [i % columns, Math.floor(i / columns)];
  canvas.getContext("2d").drawImage(sheet, x * PX, y * PX, PX, PX, 0, 0, PX, PX);
}
