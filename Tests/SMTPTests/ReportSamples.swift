/// Reports as mail systems send them, with line feeds alone.
enum ReportSamples {
    static let postfix = """
        Return-Path: <>
        Date: Mon, 30 Nov 2026 12:00:00 +0000 (UTC)
        From: MAILER-DAEMON@mx.example.org (Mail Delivery System)
        Subject: Undelivered Mail Returned to Sender
        To: b+tag@b.example.net
        Auto-Submitted: auto-replied
        MIME-Version: 1.0
        Content-Type: multipart/report; report-type=delivery-status;
        \tboundary="4XyZ1.1764504000/mx.example.org"
        Message-Id: <20261130120000.4XyZ2@mx.example.org>

        This is a MIME-encapsulated message.

        --4XyZ1.1764504000/mx.example.org
        Content-Description: Notification
        Content-Type: text/plain; charset=us-ascii

        I'm sorry to have to inform you that your message could not be delivered.

        --4XyZ1.1764504000/mx.example.org
        Content-Description: Delivery report
        Content-Type: message/delivery-status

        Reporting-MTA: dns; mx.example.org
        X-Postfix-Queue-ID: 4XyZ1
        X-Postfix-Sender: rfc822; b+tag@b.example.net
        Arrival-Date: Mon, 30 Nov 2026 11:59:58 +0000 (UTC)

        Final-Recipient: rfc822; ann@mail.example.com
        Original-Recipient: rfc822;ann@example.com
        Action: failed
        Status: 5.1.1
        Remote-MTA: dns; mx1.mail.example.com
        Diagnostic-Code: smtp; 550 5.1.1 <ann@mail.example.com>: Recipient address
            rejected: User unknown

        --4XyZ1.1764504000/mx.example.org
        Content-Description: Undelivered Message Headers
        Content-Type: text/rfc822-headers

        Return-Path: <b+tag@b.example.net>
        Received: from relay.example.net (relay.example.net [192.0.2.1])
        \tby mx.example.org (Postfix) with ESMTPS id 4XyZ1
        Message-ID: <8f1c@shop.example>
        From: billing@shop.example
        Subject: Your order

        --4XyZ1.1764504000/mx.example.org--

        """

    /// The status part holds, in base64:
    ///
    ///     Reporting-MTA: dns; gate.example.org
    ///     Original-Envelope-Id: QQ314159
    ///     and four recipients: failed, delayed (X-Unix), relayed, delivered by original recipient only
    static let encoded: String = {
        let status = """
            Reporting-MTA: dns; gate.example.org
            Original-Envelope-Id: QQ314159

            Final-Recipient: RFC822; <a@example.org>
            Action: Failed
            Status: 5.2.2 (mailbox full)
            Diagnostic-Code: smtp; 552 5.2.2 mailbox full

            Final-Recipient: rfc822;b@example.org
            Action: delayed
            Status: 4.4.1
            Diagnostic-Code: X-Unix; no route to host

            Final-Recipient: rfc822; c@example.org
            Action: relayed
            Status: 2.0.0

            Original-Recipient: rfc822; d@example.org
            Final-Recipient: x400; /c=de/a=gate/s=d
            Status: 2.0.0

            """
        return """
            Content-Type: multipart/mixed; boundary=outer

            --outer
            Content-Type: multipart/report; report-type="delivery-status"; boundary="outer-inner"

            --outer-inner
            Content-Type: text/plain

            words
            --outer-inner
            Content-Type: Message/Delivery-Status
            Content-Transfer-Encoding: Base64

            \(base64(status))
            --outer-inner--
            --outer--

            """
    }()

    static let complaint = """
        From: <abusedesk@example.com>
        Date: Thu, 8 Mar 2005 17:40:36 EDT
        Subject: FW: Earn money
        To: <b+tag@b.example.net>
        MIME-Version: 1.0
        Content-Type: multipart/report; report-type=feedback-report;
             boundary="part1_13d.2e68ed54_boundary"

        --part1_13d.2e68ed54_boundary
        Content-Type: text/plain; charset="US-ASCII"
        Content-Transfer-Encoding: 7bit

        This is an email abuse report for an email message received from IP
        192.0.2.1 on Thu, 8 Mar 2005 14:00:00 EDT.

        --part1_13d.2e68ed54_boundary
        Content-Type: message/feedback-report

        Feedback-Type: abuse
        User-Agent: SomeGenerator/1.0
        Version: 1
        Original-Mail-From: <somespammer@example.net>
        Original-Rcpt-To: <user@example.com>
        Arrival-Date: Thu, 8 Mar 2005 14:00:00 EDT
        Reporting-MTA: dns; mail.example.com
        Source-IP: 192.0.2.1
        Reported-Domain: example.net

        --part1_13d.2e68ed54_boundary
        Content-Type: message/rfc822
        Content-Disposition: inline

        From: <somespammer@example.net>
        Received: from mailserver.example.net (mailserver.example.net
             [192.0.2.1]) by example.com with ESMTP id M63d4137594e46;
             Thu, 08 Mar 2005 14:00:00 -0400
        To: <Undisclosed Recipients>
        Subject: Earn money
        MIME-Version: 1.0
        Content-type: text/plain
        Message-ID: 8787KJKJ3K4J3K4J3K4J3.mail@example.net
        Date: Thu, 02 Sep 2004 12:31:03 -0500

        Spam Spam Spam

        --part1_13d.2e68ed54_boundary--

        """

    /// In lines of 60 characters.
    private static func base64(_ text: String) -> String {
        let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
        let bytes = Array(text.utf8)
        var encoded = ""
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let bits = group.reduce(UInt32(0)) { $0 << 8 | UInt32($1) } << UInt32((3 - group.count) * 8)
            for index in 0..<4 {
                encoded.append(index <= group.count ? digits[Int(bits >> UInt32(18 - index * 6) & 63)] : "=")
            }
            if (start / 3) % 15 == 14 { encoded += "\n" }
        }
        return encoded
    }
}
