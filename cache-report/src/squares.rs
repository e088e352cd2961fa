//! A treemap: rectangles whose areas are as given, as near to squares as they will go.
//!
//! The way of Bruls, Huizing and van Wijk, "Squarified Treemaps" (2000).

/// A rectangle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rect {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

/// Lays out the values, the largest first, in a rectangle; one for each value, in their order.
pub(crate) fn squares(values: &[f64], within: Rect) -> Vec<Rect> {
    let total: f64 = values.iter().sum();
    let scale = if total > 0.0 { within.width * within.height / total } else { 0.0 };
    let areas: Vec<f64> = values.iter().map(|value| value.max(0.0) * scale).collect();
    let mut placed = Vec::with_capacity(areas.len());
    let (mut free, mut row) = (within, 0..0);
    for next in 0..areas.len() {
        let side = free.width.min(free.height);
        let longer = row.start..next + 1;
        if row.is_empty() || worst(&areas[longer.clone()], side) <= worst(&areas[row.clone()], side) {
            row = longer;
            continue;
        }
        free = place(&areas[row.clone()], free, &mut placed);
        row = next..next + 1;
    }
    place(&areas[row], free, &mut placed);
    placed
}

/// How far from square the worst of a row is, if it stands along a side.
fn worst(row: &[f64], side: f64) -> f64 {
    let sum: f64 = row.iter().sum();
    if sum <= 0.0 || side <= 0.0 {
        return f64::INFINITY;
    }
    let (least, most) =
        row.iter().fold((f64::INFINITY, 0.0_f64), |(least, most), &area| (least.min(area), most.max(area)));
    let side = side * side;
    (side * most / (sum * sum)).max(sum * sum / (side * least.max(f64::MIN_POSITIVE)))
}

/// Places a row along the shorter side, and returns the free rest.
fn place(row: &[f64], free: Rect, placed: &mut Vec<Rect>) -> Rect {
    let sum: f64 = row.iter().sum();
    let is_wide = free.width >= free.height;
    let side = if is_wide { free.height } else { free.width };
    let depth = if side > 0.0 { sum / side } else { 0.0 };
    let mut at = 0.0;
    for area in row {
        let length = if depth > 0.0 { area / depth } else { 0.0 };
        placed.push(if is_wide {
            Rect { x: free.x, y: free.y + at, width: depth, height: length }
        } else {
            Rect { x: free.x + at, y: free.y, width: length, height: depth }
        });
        at += length;
    }
    if is_wide {
        Rect { x: free.x + depth, width: (free.width - depth).max(0.0), ..free }
    } else {
        Rect { y: free.y + depth, height: (free.height - depth).max(0.0), ..free }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_are_kept_within_the_rectangle() {
        let values = [6.0, 6.0, 4.0, 3.0, 2.0, 2.0, 1.0, 0.0];
        let within = Rect { x: 0.0, y: 0.0, width: 600.0, height: 400.0 };
        let placed = squares(&values, within);
        assert_eq!(placed.len(), values.len());
        for (rect, value) in placed.iter().zip(values) {
            assert!((rect.width * rect.height - value * 10_000.0).abs() < 1e-6, "{rect:?}");
            assert!(rect.x + rect.width <= 600.0 + 1e-6 && rect.y + rect.height <= 400.0 + 1e-6, "{rect:?}");
        }
        let worst = placed.iter().take(6).map(|rect| (rect.width / rect.height).max(rect.height / rect.width));
        assert!(worst.fold(0.0, f64::max) < 3.0, "{placed:?}");
    }

    #[test]
    fn nothing_is_laid_out_without_panic() {
        let within = Rect { x: 0.0, y: 0.0, width: 10.0, height: 10.0 };
        assert!(squares(&[], within).is_empty());
        assert_eq!(squares(&[0.0, 0.0], within).len(), 2);
    }
}
