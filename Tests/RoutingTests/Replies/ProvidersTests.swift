import Testing

@testable import Routing

@Suite("Providers")
struct ProvidersTests {
    @Test(
        "a recipient's domain has its provider; what another hosts stands with its host",
        arguments: [
            ("gmail.com", "google"), ("googlemail.com", "google"), ("hotmail.com", "microsoft"),
            ("outlook.com", "microsoft"),
            ("yahoo.com", "yahoo"), ("aol.com", "yahoo"), ("icloud.com", "apple"), ("gmx.de", "gmx"), ("web.de", "gmx"),
            ("t-online.de", "t-online"), ("orange.fr", "orange"), ("example.com", "other"), ("com", "other"),
            ("", "other"),
            ("notgmail.com", "other"), ("mail.gmail.com", "other"),
        ])
    func domains(domain: String, name: String) {
        var providers = Providers()
        #expect(providers.name(providers.provider(of: domain)) == name)
    }

    @Test(
        "a domain is learnt by its MX host",
        arguments: [
            ("ASPMX.L.Google.com.", "google"), ("example-com.mail.protection.outlook.com", "microsoft-365"),
            ("hotmail-com.olc.protection.outlook.com", "microsoft"), ("mx01.emig.gmx.net", "gmx"),
            ("inbound-smtp.eu-west-1.amazonaws.com", "amazon"), ("outbound.eu-west-1.amazonaws.com", "other"),
            ("mxa-1.pphosted.com", "proofpoint"), ("google.com", "other"), ("mx.example.com", "other"), ("", "other"),
        ])
    func learning(host: String, name: String) {
        var providers = Providers()
        providers.learn(domain: "example.com", mxHost: host)
        #expect(providers.name(providers.provider(of: "example.com")) == name)
    }

    @Test("a domain that moves is learnt anew")
    func moving() {
        var providers = Providers()
        for (host, name) in [("mx.mail.icloud.com", "apple"), ("mxa.mail.ru", "mail.ru"), ("mx.example.com", "other")] {
            providers.learn(domain: "example.com", mxHost: host)
            #expect(providers.name(providers.provider(of: "example.com")) == name)
        }
    }

    @Test("a million domains fill no more than their room, and what is in use stays")
    func bound() {
        var providers = Providers()
        let google = providers.id(named: "google")
        providers.learn(domain: "used.example", mxHost: "aspmx.l.google.com")
        for number in 0..<300_000 {
            providers.learn(domain: "\(number).example", mxHost: "aspmx.l.google.com")
            providers.learn(domain: "\(number).other.example", mxHost: "mx.example.com")
            if number % 50_000 == 0 { #expect(providers.provider(of: "used.example") == google) }
        }
        #expect(providers.provider(of: "used.example") == google)
        #expect(providers.provider(of: "0.example") == .other)
        #expect(providers.provider(of: "299999.example") == google)
        #expect(providers.learntDomains == Providers.maximumLearntDomains)
    }

    @Test("names have numbers, up to their number; beyond it, and for names too long, there is other")
    func names() {
        var providers = Providers()
        let google = providers.id(named: "google")
        #expect(google != .other)
        #expect(providers.id(named: "google") == google)
        #expect(providers.name(google) == "google")
        #expect(providers.id(named: "other") == .other)
        #expect(providers.id(named: "") == .other)
        #expect(providers.id(named: String(repeating: "x", count: 65)) == .other)
        let mine = providers.id(named: "mine")
        #expect(providers.name(mine) == "mine")
        for number in 0..<1000 { _ = providers.id(named: "p\(number)") }
        #expect(providers.id(named: "one more") == .other)
        #expect(providers.id(named: "mine") == mine)
        #expect(providers.name(ProviderID(number: 60_000)) == "other")
        #expect(Providers.maximumProviders == 512)
    }
}
