// How a page looks, in numbers: { sideways, ground, worst: [contrast, words] }. Contrast is that of WCAG 2.2, 1 to 21.
() => {
  const luminance = ([red, green, blue]) => {
    const [r, g, b] = [red, green, blue].map((channel) => {
      const part = channel / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const colour = (text) => text.match(/[\d.]+/g).map(Number);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const found = colour(getComputedStyle(at).backgroundColor);
      if (found.length === 3 || found[3] === 1) return found;
    }
    return [255, 255, 255];
  };
  const contrast = (element) => {
    const [one, other] = [colour(getComputedStyle(element).color), ground(element)].map(luminance);
    return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  };
  const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const seen = [];
  while (words.nextNode()) {
    const { textContent, parentElement } = words.currentNode;
    if (textContent.trim() && parentElement.getClientRects().length) {
      seen.push([contrast(parentElement), textContent.trim()]);
    }
  }
  seen.sort((one, other) => one[0] - other[0]);
  return {
    sideways: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    ground: luminance(ground(document.body)),
    worst: seen[0],
  };
};
