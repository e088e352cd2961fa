//! Topological orders over numbers: parents before children, and the nodes that loops leave without an order.
//!
//! The *home* of a node is the node that it is merged into; only nodes that are their own home are ordered.

/// The homes in loops or between two loops.
pub(super) fn looping(links: &[(u32, u32)], homes: &[u32]) -> Vec<bool> {
    let mut left = own_homes(homes);
    let turned: Vec<(u32, u32)> = links.iter().map(|&(above, below)| (below, above)).collect();
    for links in [links, &turned] {
        for at in sorted(&left, links) {
            left[at as usize] = false;
        }
    }
    left
}

/// The homes, parents before children, without those in or behind a loop.
pub(super) fn order(links: &[(u32, u32)], homes: &[u32]) -> Vec<u32> {
    sorted(&own_homes(homes), links)
}

fn own_homes(homes: &[u32]) -> Vec<bool> {
    homes.iter().zip(0_u32..).map(|(&home, at)| home == at).collect()
}

/// The nodes of `among` in topological order (Kahn, 1962).
fn sorted(among: &[bool], links: &[(u32, u32)]) -> Vec<u32> {
    let inner = || links.iter().filter(|&&(from, to)| among[from as usize] && among[to as usize]);
    let (mut waits, mut starts) = (vec![0_usize; among.len()], vec![0_usize; among.len() + 1]);
    for &(from, to) in inner() {
        waits[to as usize] += 1;
        starts[from as usize + 1] += 1;
    }
    (0..among.len()).for_each(|at| starts[at + 1] += starts[at]);
    let mut free = starts.clone();
    let mut targets = vec![0_u32; starts[among.len()]];
    for &(from, to) in inner() {
        targets[free[from as usize]] = to;
        free[from as usize] += 1;
    }
    let is_first = |at: &u32| among[*at as usize] && waits[*at as usize] == 0;
    let mut order: Vec<u32> = (0..).take(among.len()).filter(is_first).collect();
    let mut done = 0;
    while let Some(&at) = order.get(done) {
        done += 1;
        for &to in &targets[starts[at as usize]..starts[at as usize + 1]] {
            waits[to as usize] -= 1;
            if waits[to as usize] == 0 {
                order.push(to);
            }
        }
    }
    order
}
