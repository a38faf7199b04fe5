package import Journal
package import Primitives
package import SMTP
