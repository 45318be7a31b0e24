//! Licence expressions, as far as crates use them: `OR`, `AND`, `WITH`, brackets, and the old `/` for `OR`.

/// Whether a choice can be made that only uses licences of which `allowed` says yes. An exception (`WITH`) only
/// gives more rights, so the licence before it decides.
pub(super) fn satisfied(expression: &str, allowed: &dyn Fn(&str) -> bool) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Reader { words: &words, at: 0, allowed };
    reader.any() && reader.at == words.len()
}

struct Reader<'a> {
    words: &'a [&'a str],
    at: usize,
    allowed: &'a dyn Fn(&str) -> bool,
}

impl Reader<'_> {
    fn any(&mut self) -> bool {
        let mut good = self.all();
        while self.take("OR") {
            good |= self.all();
        }
        good
    }

    fn all(&mut self) -> bool {
        let mut good = self.one();
        while self.take("AND") {
            good &= self.one();
        }
        good
    }

    fn one(&mut self) -> bool {
        if self.take("(") {
            let good = self.any();
            return self.take(")") && good;
        }
        let good = self.words.get(self.at).is_some_and(|name| (self.allowed)(name));
        self.at += 1;
        if self.take("WITH") {
            self.at += 1;
        }
        good
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.words.get(self.at) == Some(&word);
        self.at += usize::from(found);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_needs_one_good_licence_and_a_sum_needs_all() {
        let allowed = |name: &str| ["MIT", "Apache-2.0", "Unicode-3.0"].contains(&name);
        for good in ["MIT", "GPL-3.0 OR MIT", "MIT/GPL-3.0", "(MIT OR GPL-3.0) AND Unicode-3.0"] {
            assert!(satisfied(good, &allowed), "{good}");
        }
        assert!(satisfied("Apache-2.0 WITH LLVM-exception", &allowed));
        for bad in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR Apache-2.0) AND GPL-3.0", "(MIT", ""] {
            assert!(!satisfied(bad, &allowed), "{bad}");
        }
    }
}
