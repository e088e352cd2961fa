//! Walks over graphs of numbered nodes, without recursion, however deep they are.

/// The outcome of a walk along all links.
pub(crate) struct Walked {
    /// Every node after those it links to, as far as there is no loop.
    pub(crate) dependencies_first: Vec<usize>,
    /// The nodes at which the walk closed a loop, in the order of the walk; at least one for each loop.
    pub(crate) closing: Vec<usize>,
}

/// Walks from each of `len` nodes along its links, and skips links to nodes that do not exist.
pub(crate) fn walk<I: Iterator<Item = i64>>(len: usize, links: impl Fn(usize) -> I) -> Walked {
    let (mut order, mut closing) = (Vec::with_capacity(len), Vec::new());
    let (mut done, mut open) = (vec![false; len], vec![false; len]);
    let mut path: Vec<(usize, I)> = Vec::new();
    for start in 0..len {
        let mut enter = Some(start);
        loop {
            if let Some(node) = enter.take().filter(|&node| !done[node]) {
                if open[node] {
                    closing.push(node);
                } else {
                    open[node] = true;
                    path.push((node, links(node)));
                }
            }
            let Some((node, left)) = path.last_mut() else { break };
            match left.next() {
                Some(link) => enter = usize::try_from(link).ok().filter(|&link| link < len),
                None => {
                    done[*node] = true;
                    order.push(*node);
                    path.pop();
                }
            }
        }
    }
    Walked { dependencies_first: order, closing }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walked(links: &[&[i64]]) -> (Vec<usize>, Vec<usize>) {
        let Walked { dependencies_first, closing } = walk(links.len(), |node| links[node].iter().copied());
        (dependencies_first, closing)
    }

    #[test]
    fn every_node_occurs_once_and_after_its_links() {
        assert_eq!(walked(&[&[2, 1], &[2], &[]]), (vec![2, 1, 0], vec![]));
        assert_eq!(walked(&[&[], &[0, 0], &[1, 0]]), (vec![0, 1, 2], vec![]));
    }

    #[test]
    fn each_loop_is_found_and_links_to_no_node_are_skipped() {
        assert_eq!(walked(&[&[0], &[2], &[1], &[7, -1]]).1, [0, 1]);
    }
}
