/// Some of the samples of `FeedbackTests`, which sign as the services do, and the certificate's key for a listener.
// swift-format-ignore
enum FeedbackSamples {
    static let sesBounce = #"""
        {"Type": "Notification", "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf301", "TopicArn": "arn:aws:sns:eu-west-1:123456789012:ses-events", "Message": "{\"eventType\": \"Bounce\", \"bounce\": {\"feedbackId\": \"0102019ad5f0-1-000000\", \"bounceType\": \"Permanent\", \"bounceSubType\": \"General\", \"bouncedRecipients\": [{\"emailAddress\": \"ann@example.com\", \"action\": \"failed\", \"status\": \"5.1.1\", \"diagnosticCode\": \"smtp; 550 5.1.1 <ann@example.com>... User unknown\"}], \"timestamp\": \"2026-11-30T12:00:05.655Z\", \"remoteMtaIp\": \"192.0.2.7\", \"reportingMTA\": \"dsn; a4-5.smtp-out.eu-west-1.amazonses.com\"}, \"mail\": {\"timestamp\": \"2026-11-30T12:00:00.000Z\", \"source\": \"billing@shop.example\", \"sourceArn\": \"arn:aws:ses:eu-west-1:123456789012:identity/shop.example\", \"sendingAccountId\": \"123456789012\", \"messageId\": \"0102019ad5f0a1b2-0c1d2e3f-4a5b-6c7d-8e9f-a0b1c2d3e4f5-000000\", \"destination\": [\"ann@example.com\", \"bob@example.org\"], \"headersTruncated\": false, \"headers\": [{\"name\": \"From\", \"value\": \"billing@shop.example\"}, {\"name\": \"Message-ID\", \"value\": \"<8f1c@shop.example>\"}], \"commonHeaders\": {\"from\": [\"billing@shop.example\"], \"messageId\": \"<8f1c@shop.example>\", \"subject\": \"Your order\"}}}", "Timestamp": "2026-11-30T12:00:06.000Z", "SignatureVersion": "1", "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-test.pem", "UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe", "Signature": "TgwqDok5BSoAou7KjDsGFF82C2LOn/kZd27GnjrOl55kqPyJVvjUiDedihmqym50DN2AI7TVdY3apyoJhpBariyVP8Loyf2u/lCqidw5vxJnMcfnrhCsf1uNyQNSxJQwJ/1E045E7Vpqyu6OXn31+v/6CTxen9tIPmCv/VF/xJnO3mUvcbrmtBbm/KWkkuDD2fnOaHyu7uJu1LuZoG6fe3Tk6/rxPyRojd0V5KfDWe+TdtcSUZgsB7vwv84AH66pLHRg2ctalei/TPGs0jHdA3VP0mtqOxcSJfAyxMUH27ACB1UPt7zfC6K5NKpRWUVWGlcaMqaOPaVq0LzYBfOtdg=="}
        """#
    static let sesComplaint = #"""
        {"Type": "Notification", "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf302", "TopicArn": "arn:aws:sns:eu-west-1:123456789012:ses-events", "Message": "{\"notificationType\": \"Complaint\", \"complaint\": {\"complainedRecipients\": [{\"emailAddress\": \"bob@example.org\"}], \"timestamp\": \"2026-11-30T13:00:00.000Z\", \"feedbackId\": \"0102019ad5f0-2-000000\", \"userAgent\": \"Amazon SES Mailbox Simulator\", \"complaintFeedbackType\": \"abuse\", \"arrivalDate\": \"2026-11-30T13:00:00.000Z\"}, \"mail\": {\"timestamp\": \"2026-11-30T12:00:00.000Z\", \"source\": \"billing@shop.example\", \"sourceArn\": \"arn:aws:ses:eu-west-1:123456789012:identity/shop.example\", \"sendingAccountId\": \"123456789012\", \"messageId\": \"0102019ad5f0a1b2-0c1d2e3f-4a5b-6c7d-8e9f-a0b1c2d3e4f5-000000\", \"destination\": [\"ann@example.com\", \"bob@example.org\"], \"headersTruncated\": false, \"headers\": [{\"name\": \"From\", \"value\": \"billing@shop.example\"}, {\"name\": \"Message-ID\", \"value\": \"<8f1c@shop.example>\"}], \"commonHeaders\": {\"from\": [\"billing@shop.example\"], \"messageId\": \"<8f1c@shop.example>\", \"subject\": \"Your order\"}}}", "Timestamp": "2026-11-30T12:00:06.000Z", "SignatureVersion": "2", "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-test.pem", "UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe", "Subject": "Amazon SES Email Event Notification", "Signature": "jWe2G7PASMOsSOh3b6JPofYqBKhNAvY2aUVKhYtcHl3gy5DmaheISkjmLjXScTXHHOFT1Ox6UMGkDPJIEE3Ye1LRPBhKTCGHjjOsU2oKszvYfm9ZYmIExIzaoW0E6ODogc2K8/dc3nM5wTTEDaozb99FpMA0uJ+pWAzmEgi+lhUOWm9Vi3kGRSEtI9c11moujrFOVA5DywSOQS/JhmV/n72AS4nb/1T4u8lqpWILBGmoiEdYWvCg1wxlW6LXeaVQkq2RBVDlPHrE4im9JOjwy8ukahtT1g/IOp9SnFXYIYwgHROfGFNOKjdAz+l1Y0uk4TcGQQnwlvHTDmwCGBHOtQ=="}
        """#
    static let subscription = #"""
        {"Type": "SubscriptionConfirmation", "MessageId": "165545c9-2a5c-472c-8df2-7ff2be2b3b1b", "Token": "2336412f37fb687f5d51e6e2425c464d", "TopicArn": "arn:aws:sns:eu-west-1:123456789012:ses-events", "Message": "You have chosen to subscribe to the topic.\nTo confirm, visit the SubscribeURL.", "SubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:eu-west-1:123456789012:ses-events&Token=2336412f37fb687f5d51e6e2425c464d", "Timestamp": "2026-11-30T12:00:00.000Z", "SignatureVersion": "1", "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-test.pem", "Signature": "FtifGUhSfafVw2WNIbN2RxpCz4FQQu0V/zptlUeXPU3M8OmHsSMl0SNMOe3uv1XD3e+Qh5rtEHNpWPXo8XK0OXucoxmc09aN0uP7cgYQp8OIFIx1vXPNQZ9ctI32Q0T1Q6H4iudnvNr773ij9ABCTtiH3TNAi749R8rKPlpcUegF6nbCawkd0wXf5r/wctseJ48cvTJ3NvHeEO8SBFOiJCtfDUSUzCkRJDFyrRsZqTswAQ9icSw8yehqTn4tLSlsLBStOFqYGtwMePtKgrCVuQxGglE6YI+3WF0XgsmcEuZYO7Igf10vVTrwiKJUBoloHMQPsURFV2YWt/6SDs8zWA=="}
        """#
    static let sendGrid = #"""
        [{"email": "ann@example.com", "timestamp": 1764504005, "smtp-id": "<8f1c@shop.example>", "event": "processed", "sg_event_id": "sgev-0", "sg_message_id": "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0"}, {"email": "ann@example.com", "timestamp": 1764504006, "smtp-id": "<8f1c@shop.example>", "event": "deferred", "sg_event_id": "sgev-1", "sg_message_id": "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0", "response": "421 4.7.0 try again later", "attempt": "5"}, {"email": "ann@example.com", "timestamp": 1764504007, "smtp-id": "<8f1c@shop.example>", "event": "delivered", "sg_event_id": "sgev-2", "sg_message_id": "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0", "response": "250 OK"}, {"email": "bob@example.org", "timestamp": 1764504008, "smtp-id": "<8f1c@shop.example>", "event": "bounce", "sg_event_id": "sgev-3", "sg_message_id": "Jx5Xq1.recvd-7d9f8-1-65.0", "reason": "550 5.7.1 blocked by policy", "status": "5.7.1", "type": "blocked"}, {"email": "cat@example.net", "timestamp": 1764504009, "smtp-id": "<8f1c@shop.example>", "event": "dropped", "sg_event_id": "sgev-4", "sg_message_id": "x", "reason": "Bounced Address", "status": "5.0.0"}, {"email": "bob@example.org", "timestamp": 1764504010, "event": "spamreport", "sg_event_id": "sgev-5", "sg_message_id": "x"}, {"email": "bob@example.org", "timestamp": 1764504011, "event": "open", "sg_event_id": "sgev-6"}]
        """#
    static let sendGridSignature = #"""
        MEYCIQDW6ELTrZbrr6QQZgooEk3WBSusuDSSeTLs1agOX3f/dQIhAPx+4fZ6CVW8D6pt6JcOkKczJFxDhTeuQqQWymtMkgQY
        """#
    static let sendGridTimestamp = #"""
        1764504012
        """#
    static let sendGridKey = #"""
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEma5nmCIcBDzERRCxGWFtGw6xMXK8iukNFgpFgKFCo5l17PvHzxJVpAmwtcqGPMkzS1plsYypIF3U9DP+gTYow==
        """#
    static let certificate = #"""
        -----BEGIN CERTIFICATE-----
        MIIDCTCCAfGgAwIBAgIUHDNUAa+1tVPML1c0hxqK6lKItYUwDQYJKoZIhvcNAQEL
        BQAwEzERMA8GA1UEAwwIc25zLnRlc3QwIBcNMjYxMTMwMTgyNjE0WhgPMjEyNjEx
        MDYxODI2MTRaMBMxETAPBgNVBAMMCHNucy50ZXN0MIIBIjANBgkqhkiG9w0BAQEF
        AAOCAQ8AMIIBCgKCAQEArAIjfg8RCP416a0JsrQZdndzh8TzDUIQMHGrU57oF8We
        1A+ZdXXC1MHx1zrncEJxEPcYjJKILXCbr8y3zbJxp54j2GsCJG8Btq1vX0BkI1q9
        M+8EOVVUjNEIab4uKWmf15zfiVdHCN1FGQacAPjXOqrB+HCkXZH9ctvwEE4bJ6cX
        WV5y3ypbMFkzIR7WPQFcFzHKjImjzX4RIvg0KZV3MWsO8VHMw7twx/V0mMtdncia
        jmwj4O4H0QChKZHI4sxHthjaBO1FM+/hvGEFmwvB9D/SqJKaAoyR4maTNkzDZc1O
        /Nk6aQ4OyMR0+amDz1ZuHbPxvb5LPMIi90CFRmSdbQIDAQABo1MwUTAdBgNVHQ4E
        FgQUrPcO2eL6n54I6pVChAHlECg0cB8wHwYDVR0jBBgwFoAUrPcO2eL6n54I6pVC
        hAHlECg0cB8wDwYDVR0TAQH/BAUwAwEB/zANBgkqhkiG9w0BAQsFAAOCAQEAOjY0
        +YSk8SEqI1RtJUm/DlNkbAzu+OV+cUP+hEAEbrl1E9Jhf+hSWLt7yHtipv1wum9B
        rjB39ZHPwKbeLwtQHLM+Lydvbe8v7SLt5QRnPGxeNFP4xU23emZ+rbJgHM17Dw6h
        wITSqdfSmGffSoUFt48AJxvzW6p/Ts9RvJTIH7Mu/L4RjjsAZMdP6AnFBAyAxHi5
        GazQFCYsdXGaOl7gMODh6v+wjcrFqXoXCahMyfoR29ehS1IvLtDa0y0g2y3N1/Do
        q1uqgkEMz6uU38gnFHwokQL8W/J+4G3mKMN9ARhQXE+8/FIDAljns+BGJQXhHdVP
        mHrJ3dbDbPM7bMBjHA==
        -----END CERTIFICATE-----

        """#
    static let postmark = #"""
        {"RecordType": "Bounce", "MessageStream": "outbound", "ID": 4323372036854775807, "Type": "HardBounce", "TypeCode": 1, "Name": "Hard bounce", "Tag": "Test", "MessageID": "883953f4-6105-42a2-a16a-77a8eac79483", "Metadata": {"a": "b"}, "ServerID": 23, "Description": "The server was unable to deliver your message (ex: unknown user, mailbox not found).", "Details": "smtp;550 5.1.1 The email account that you tried to reach does not exist", "Email": "john@example.com", "From": "sender@example.com", "BouncedAt": "2026-11-30T14:09:10.0000000+02:00", "DumpAvailable": true, "Inactive": true, "CanActivate": true, "Subject": "Test subject", "Content": "<Full dump of bounce>"}
        """#
    static let mailgun = #"""
        {"signature": {"timestamp": "1764504020", "token": "a8ce0edb2dd8301dee6c2405235584e45aa91d1e9f979f3de0", "signature": "924d46b8ab06214782717d0e24c49df049154343d975afa11e7ff3688a7a6fc0"}, "event-data": {"id": "G9Bn5sl1TC6nu79C8C0bwg", "timestamp": 1764504019.329574, "recipient": "ann@example.com", "recipient-domain": "example.com", "message": {"headers": {"to": "ann@example.com", "message-id": "8f1c@shop.example", "from": "billing@shop.example", "subject": "Your order"}, "attachments": [], "size": 111}, "envelope": {"transport": "smtp", "sender": "billing@shop.example", "sending-ip": "192.0.2.9", "targets": "ann@example.com"}, "tags": [], "user-variables": {}, "event": "failed", "severity": "permanent", "reason": "bounce", "log-level": "error", "delivery-status": {"attempt-no": 1, "message": "5.1.1 The email account that you tried to reach does not exist", "code": 550, "enhanced-code": "5.1.1", "description": "", "session-seconds": 0.4, "mx-host": "mx.example.com"}}}
        """#
    static let certificateKey = #"""
        -----BEGIN PRIVATE KEY-----
        MIIEvAIBADANBgkqhkiG9w0BAQEFAASCBKYwggSiAgEAAoIBAQCsAiN+DxEI/jXp
        rQmytBl2d3OHxPMNQhAwcatTnugXxZ7UD5l1dcLUwfHXOudwQnEQ9xiMkogtcJuv
        zLfNsnGnniPYawIkbwG2rW9fQGQjWr0z7wQ5VVSM0Qhpvi4paZ/XnN+JV0cI3UUZ
        BpwA+Nc6qsH4cKRdkf1y2/AQThsnpxdZXnLfKlswWTMhHtY9AVwXMcqMiaPNfhEi
        +DQplXcxaw7xUczDu3DH9XSYy12dyJqObCPg7gfRAKEpkcjizEe2GNoE7UUz7+G8
        YQWbC8H0P9KokpoCjJHiZpM2TMNlzU782TppDg7IxHT5qYPPVm4ds/G9vks8wiL3
        QIVGZJ1tAgMBAAECggEABnpMeWHFCmG+czF9zmx7aADOyZkTGSz40fDkmvEpUZnd
        kHlnlgBBvoRGS2IlF08dQHO5yYjMLD/pJmP53mXUY2kFyw+ZRKN8kkiyS3Pv7Cft
        klWI7cV8T2hLiOXtXvMNdA/XmEMV7QFzlHdxVmpd+qWLHq7T9c/QFmxY0a22AUEj
        xZpZfQS9QH7SsKsi6dv9rMLCVOOgTa9i7lHX6QteUBikH54ObQ8WTREmoWknX/zt
        wQRen/SZabW2gvtiyiAsoATWYNFxx/KoikkZnqtwNOsf5AqS6zXyLQBy0+38daRF
        mXgDjXILyjM9/HyqP4KbFife4MVpEvdtCNd8xmakMQKBgQDV/LjnNBRIXiA/OUb6
        8e0B1Bycl2FyA3FzOuUxbqNbJTZyUPpyu3C87LI7k2S9VVz8i2+byzJYvkO+sOaP
        ZVEm0QsF1+IdebOtCPvQF6a79H2VjF3zXV9q3HmFskVz70/KT4+zqjFRp/CfSew3
        vWr3r4WpHO/Z7tYm0HDCB713vQKBgQDNx4EsEMgP6OvxuDwHRdWEohnYntY/6lKI
        PcqJEsncsXFluIQn8pPXuG77hgYkP6Q3h3ST4DAuCL3HJU+msXn6kxTJ/HeY4m0L
        Pinui+t/Vi/piwnlEPomMKxjyKB4f5pJDcGaKdoqG7LOHeVp/lks7pQaUWAoFn1n
        /QaWCox/cQKBgH8GCOC96nhW33+ISZk3OQCH4AAYYHDkmFjVki24xmGZgmtzpGes
        2qxbOSXiRb+aR5tmTfdGNHm3X9F3gzWF6BlJp+htET17++twVMJe98vEwzOd4jtP
        pw9xFvYFL/M1EMFAX0ZAdgxJy61SnVUtLK0g1Q/hLIPKofbibrzPCWplAoGAOjq3
        KbIB+saNZZQdoG05c1OvfqXLuMBk5Fqf4lPnvUSU8xTYiLlS7pspBJGzUTSVEoWJ
        DoNE/vHISf8b3+6etrJCEroXWbLQ6nqHwRHk7N6Fpk+K2EAKmR3y2jWeexqYnQ2A
        eFBZhMrbuQmqrmij8Vv9msjmLdHXYMKvx2tqwHECgYAN35+jKnoPWcht0a+y1tWr
        94Pb5KSxL5NjHssyffXWyaKwJ9QKCqGIB06QWLFmlMD4awt0FJcH/h1qzoVVaH+G
        9+sX+gjSQpAAgIawGcFeVR1njmZnGAqSNygwELI1sABAiQZlrW5A4hvuS4L5hbEu
        46aqa/ORpSpMsyY0rYksiQ==
        -----END PRIVATE KEY-----
        """#
}
