import SMTP
import Testing

@testable import Routing

@Suite("Rules for replies")
struct ReplyRuleTests {
    /// Whether one rule with this pattern matches a text.
    private func matches(_ pattern: String, _ text: String, conditions: String = "-", lists: String = "") throws -> Bool
    {
        let classifier = try ReplyClassifier(files: [("\(lists)\ncontent\t\(conditions)\t\(pattern)\n", "rules.tsv")])
        return classifier.classify(550, text).replyClass == .content
    }

    @Test(
        "a pattern is words in a row; case, accents, punctuation and small words do not count",
        arguments: [
            ("mailbox full", "Mailbox is FULL!", true), ("mailbox full", "full mailbox", false),
            ("mailbox full", "mailbox almost full", false), ("mailbox ... full", "mailbox is almost always full", true),
            ("mailbox ... full", "mailbox a1 b2 c3 d4 e5 f6 full", true),
            ("mailbox ... full", "mailbox a1 b2 c3 d4 e5 f6 g7 full", false), ("exceed*", "quota exceeded", true),
            ("exceed*", "not", false), ("boite|casella piena", "la casella è piena", true),
            ("réessayer", "Veuillez REESSAYER plus tard", true), ("not exist", "User doesn't exist", true),
            ("not exist", "account does not exist", true), ("cannot find", "could not find it", true),
            ("^blocked", "Blocked by us", true), ("^blocked", "You are blocked", false),
            ("blocked$", "You are blocked.", true), ("blocked$", "blocked by us", false),
            ("full & inbox", "Inbox: not yet full", true), ("full & inbox", "full", false),
            ("full & !inbox", "mailbox full", true), ("full & !inbox", "inbox full", false),
            ("收件人", "错误：收件人不存在", true), ("e-mail", "Your email", true), ("anti-spam", "an anti spam engine", true),
        ])
    func words(pattern: String, text: String, expected: Bool) throws {
        #expect(try matches(pattern, text) == expected, "\(pattern) in \(text)")
    }

    @Test(
        "addresses, IP addresses, hosts and URLs are things; words within an address or a URL are not words of the text",
        arguments: [
            ("<address>", "no mail for <spam@example.com>...", true), ("spam", "no mail for <spam@example.com>", false),
            ("<address> unknown", "user@example.com...unknown", true), ("<ip>", "[192.0.2.1] is bad", true),
            ("<ip>", "[2001:db8::1]:25 is bad", true), ("<ip>", "see 4.7.1 of 12:30:05", false),
            ("4.7.1", "see (#4.7.1).", true), ("<host> down", "mx.example.net down", true),
            ("sorbs", "listed at dnsbl.sorbs.net.", false), ("sorbs", "see http://www.sorbs.net/lookup?1", false),
            ("/sorbs", "see http://www.sorbs.net/lookup?1", true), ("/sorbs", "listed at dnsbl.sorbs.net", true),
            ("<url>", "see www.example.com/why", true), ("<url>", "HELO/EHLO first", false),
            ("helo ehlo", "HELO/EHLO first", true), ("/lookup*", "(https://example.com/lookups)", true),
        ])
    func things(pattern: String, text: String, expected: Bool) throws {
        #expect(try matches(pattern, text) == expected, "\(pattern) in \(text)")
    }

    @Test("a list stands for its words and phrases, also for those of another list, also of several lines")
    func lists() throws {
        let lists = "@a\tunknown | not found\n@b\t@a | no such user\n@b\tvanished"
        for (text, expected) in [
            ("user unknown", true), ("user was not found", true), ("user vanished", true), ("user no such user", true),
            ("user found", false),
        ] {
            #expect(try matches("user @b", text, lists: lists) == expected, "\(text)")
        }
        #expect(try matches("user @b here", "user could not be found here", lists: lists))
    }

    @Test(
        "conditions: code, enhanced code, stage, provider",
        arguments: [
            ("code=55*", true), ("code=4*|550", true), ("code=551", false), ("code!=550", false),
            ("enhanced=5.1.1", true),
            ("enhanced=*.1.*", true), ("enhanced=5.7.*", false), ("enhanced=none", false), ("enhanced!=5.7.1", true),
            ("stage=rcpt", true), ("stage=mail|eod", false), ("provider=goo", true), ("provider=yahoo", false),
            ("provider!=yahoo", true), ("wording=yahoo", true), ("code=550 stage=mail", false),
        ])
    func conditions(_ conditions: String, expected: Bool) throws {
        let classifier = try ReplyClassifier(files: [("content\t\(conditions)\tno user\n", "rules.tsv")])
        let answer = classifier.classify(
            code: 550, enhanced: "5.1.1", text: "No user", provider: "google", stage: "rcpt")
        #expect((answer.replyClass == .content) == expected)
    }

    @Test("an enhanced code within the text stands in for one that was not sent, and only then")
    func enhancedWithin() throws {
        let classifier = try ReplyClassifier(files: [("content\tenhanced=5.1.1\t-\n", "rules.tsv")])
        #expect(classifier.classify(550, "sorry (#5.1.1)").replyClass == .content)
        #expect(classifier.classify(550, "sorry, 5.1.1.").replyClass == .content)
        #expect(classifier.classify(550, "version 15.1.1 of 192.5.1.1").replyClass == .other)
        let sent = classifier.classify(code: 550, enhanced: "5.7.1", text: "(#5.1.1)", provider: nil, stage: nil)
        #expect(sent.replyClass == .other)
    }

    @Test("the first rule that matches decides; a user's rules come first and may add to our lists")
    func order() throws {
        let text = "User unknown"
        #expect(ReplyClassifier.standard.classify(550, text).replyClass == .badRecipient)
        let own = try ReplyClassifier(
            extending: "# ours\npolicy-block/nothing\tprovider=odd\tuser unknown\n@recipient\tgnome\n",
            named: "/etc/my.tsv")
        let odd = own.classify(code: 550, enhanced: "", text: text, provider: "odd", stage: nil)
        #expect(odd.replyClass == .policyBlock)
        #expect(odd.against == .nothing)
        #expect(odd.rule == "/etc/my.tsv:2: user unknown")
        #expect(own.classify(550, text).replyClass == .badRecipient)
        #expect(own.classify(550, "gnome unknown").replyClass == .badRecipient)
        #expect(ReplyClassifier.standard.classify(550, "gnome unknown").replyClass == .other)
    }

    @Test(
        "a line that cannot be read is named, with what was expected",
        arguments: [
            ("content\t-", "expected CLASS, CONDITIONS and PATTERN with tabs between, got 2 fields"),
            ("spam\t-\tx", "expected a class (accepted-with-warning, "),
            ("content/us\t-\tx", "expected after the class"),
            ("content\tcode=5\tx", "expected a code such as 550, 55* or 5*, got 5"),
            ("content\tcode\tx", "expected KEY=VALUE or KEY!=VALUE as a condition, got code"),
            ("content\tenhanced=5.1\tx", "expected an enhanced code such as 5.7.1, *.7.* or none, got 5.1"),
            ("content\tstage=quit\tx", "expected a stage (connect, helo, mail, rcpt, data, eod, auth), got quit"),
            ("content\tclass=x\tx", "expected code, enhanced, stage, provider or wording as a condition, got class=x"),
            ("content\t-\t@nothing", "no list is named @nothing"), ("content\t-\tthe", "'the' has no word that counts"),
            ("content\t-\t... x", "expected a word before '...'"), ("content\t-\tx ...", "expected a word after '...'"),
            ("content\t-\t!x", "expected a pattern without ! first"),
            ("content\t-\ta.b|c", "expected one word, got 'a.b'"),
            ("content\t-\t<name>", "expected one of <address> <ip> <host> <url>, got <name>"),
            ("@X\ty", "expected @ and lower-case letters as the name of a list, got @X"),
            ("@x\t@y", "the list @y is not defined above"),
            ("@x", "expected @LIST, a tab and its phrases, got 1 fields"),
        ])
    func errors(line: String, message: String) {
        let error = #expect(throws: ReplyRuleError.self) {
            try ReplyClassifier(extending: "# mine\n\ncontent\t-\tfine\n\(line)\n", named: "my.tsv")
        }
        #expect(error?.line == 4)
        #expect(error?.description.hasPrefix("my.tsv:4: \(message)") == true, "\(error?.description ?? "")")
    }

    @Test("a reply of an upstream is classified with its stage, and long texts of rubbish are harmless")
    func replies() {
        let greylisted = Reply(451, 4, 7, 1, "Greylisted,\nplease try again in 300 seconds")
        let answer = ReplyClassifier.standard.classify(greylisted, at: .rcpt, provider: nil)
        #expect(answer.replyClass == .greylisted)
        #expect(answer.against == .nothing)
        let relay = Reply(554, 5, 7, 1, "Relay access denied")
        #expect(ReplyClassifier.standard.classify(relay, at: .rcpt, provider: "google").against == .access)
        for byte: UInt8 in [0x00, 0x20, 0x2e, 0x2f, 0x3a, 0x40, 0x61, 0x80, 0xc3, 0xe4, 0xff] {
            for length in [1, 3, 1023, 1024, 1025, 100_000] {
                let rubbish = Reply(550, text: Array(repeating: byte, count: length))
                _ = ReplyClassifier.standard.classify(rubbish, at: .finalDot, provider: nil)
            }
        }
        for high: UInt8 in 0...255 {
            var text: [UInt8] = []
            for low: UInt8 in 0...255 { text += [high, low, 0x40, 0x2e] }
            _ = ReplyClassifier.standard.classify(Reply(550, text: text), at: .connect, provider: nil)
        }
    }

    @Test("successes are never taken for refusals")
    func successes() {
        #expect(ReplyClassifier.standard.classify(250, "2.0.0 Ok: queued as 4XyZ1, not spam").against == .nothing)
        #expect(ReplyClassifier.standard.classify(354, "End data with <CR><LF>.<CR><LF>").against == .nothing)
        #expect(ReplyClassifier.standard.classify(251, "will forward").replyClass == .acceptedWithWarning)
    }
}

extension ReplyClassifier {
    fileprivate func classify(_ code: Int, _ text: String) -> Classification {
        classify(code: code, enhanced: "", text: text, provider: nil, stage: nil)
    }
}
